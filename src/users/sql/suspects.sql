-- Users after an id ($1), as many as $2, whose names may not be normal: an ASCII name is, but for domains in A-labels.
-- In SQL for its string functions and regular expressions.
SELECT id, username, email FROM users WHERE id > $1 AND (
    octet_length(username) > char_length(username) OR octet_length(email) > char_length(email)
    OR username ~* '@.*xn--' OR email ~* '@.*xn--'
) ORDER BY id LIMIT $2
