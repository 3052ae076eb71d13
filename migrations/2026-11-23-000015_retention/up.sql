-- Up to which message what mail servers said has been forgotten: ids sort by time, so nothing is looked at twice.
CREATE TABLE forgotten (
    only_row     boolean PRIMARY KEY DEFAULT true,
    message_till uuid NOT NULL,
    CONSTRAINT forgotten_only_row CHECK (only_row)
);
INSERT INTO forgotten (message_till) VALUES ('00000000-0000-0000-0000-000000000000');
