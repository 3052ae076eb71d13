-- How far the service has masked what servers said before it did so when it stores their words. The rows themselves are
-- rewritten beside serving: the shapes of secrets are known to the service alone.
CREATE TABLE masking (
    only_row         boolean PRIMARY KEY DEFAULT true,
    -- A second pass finds what an older instance stored during an upgrade.
    passes_left      smallint NOT NULL,
    begins_at        timestamptz NOT NULL,
    message_till     uuid NOT NULL,
    suppression_till uuid NOT NULL,
    CONSTRAINT masking_only_row CHECK (only_row)
);
INSERT INTO masking (passes_left, begins_at, message_till, suppression_till)
VALUES (2, 'epoch', '00000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000000');
