-- Answers that are kept for a repeat no longer hold what may be a key; nor do those of before.
UPDATE idempotency_keys SET body = (body::jsonb || jsonb_build_object(
    'mdm_url', CASE WHEN body::jsonb ->> 'mdm_url' IS NOT NULL THEN '***' END,
    'qr_payload', jsonb_build_object('kind', body::jsonb #> '{qr_payload,kind}')
))::text WHERE route = 'POST /settings/registration';
