-- Requests with an Idempotency-Key that take more than one transaction, such as an import, while they
-- run: nobody else does the same meanwhile. Whoever is gone no longer renews the lease, and when it has
-- ended the key is free. A table of its own: an older instance would take such a row for an answer.
CREATE TABLE idempotency_leases (
    caller      text NOT NULL,
    route       text NOT NULL,
    key         text NOT NULL,
    fingerprint text NOT NULL,
    -- The very run, so that one that was taken over finds out.
    holder      uuid NOT NULL,
    lease_until timestamptz NOT NULL,
    PRIMARY KEY (caller, route, key)
);
