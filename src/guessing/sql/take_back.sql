-- Takes a try back that was counted ($1). In SQL, since diesel has neither `greatest` nor `coalesce`.
UPDATE guesses SET tries = greatest(tries - 1, 0), locked_until = NULL,
    updated_at = coalesce(counted_before, updated_at)
WHERE subject = $1
