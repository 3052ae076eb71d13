-- Batches that passed a user ($1) over, after an id ($2), as many as $3. In SQL, since rows become JSON.
SELECT batch_id AS id, jsonb_build_object('batch_id', batch_id, 'reason', reason) AS row
FROM batch_skips WHERE user_id = $1 AND batch_id > $2 ORDER BY batch_id LIMIT $3
