-- When an administrator last resent it: not again within a minute. NULL: never.
ALTER TABLE invitations ADD COLUMN resent_at timestamptz;

-- What is over and not yet marked is found without looking through the others.
CREATE INDEX invitations_pending_by_end ON invitations (expires_at) WHERE state = 'pending';

-- Its batch was canceled while it was being sent: if no server accepts it this time, it is not tried again.
-- Kept with the message, because whoever settles it must see what was committed a moment before.
ALTER TABLE messages ADD COLUMN canceled boolean NOT NULL DEFAULT false;

-- ENLIST_MAIL_RATE holds over all instances: each takes from this one row. The time up to which what
-- may be sent has been taken.
CREATE TABLE mail_allowance (
    only_row   boolean PRIMARY KEY DEFAULT true,
    taken_till timestamptz NOT NULL,
    CONSTRAINT mail_allowance_only_row CHECK (only_row)
);
INSERT INTO mail_allowance (taken_till) VALUES ('epoch');
