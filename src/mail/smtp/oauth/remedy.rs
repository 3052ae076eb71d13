//! What to do about a refusal. Pure.

/// What the codes of RFC 6749, section 5.2 ask for, and those that Google and others add.
const STANDARD: &[(&str, &str)] = &[
    (
        "invalid_request",
        "something is missing in the request, or there twice: compare ENLIST_SMTP_OAUTH_… with the recipe",
    ),
    (
        "invalid_client",
        "it does not know the client or takes the secret for wrong: check ENLIST_SMTP_OAUTH_CLIENT_ID and \
         ENLIST_SMTP_OAUTH_CLIENT_SECRET",
    ),
    (
        "invalid_grant",
        "the refresh token is expired, revoked or another client's: sign in again as the mailbox and set \
         ENLIST_SMTP_OAUTH_REFRESH_TOKEN",
    ),
    (
        "unauthorized_client",
        "the client may not get tokens this way: grant it the permission, and look whether a refresh token is needed",
    ),
    (
        "unsupported_grant_type",
        "it does not give tokens this way: with a refresh token it may, in ENLIST_SMTP_OAUTH_REFRESH_TOKEN",
    ),
    (
        "invalid_scope",
        "it does not know the scope or does not allow it: check ENLIST_SMTP_OAUTH_SCOPE",
    ),
    // Google's page on OAuth 2.0 for web servers lists these.
    (
        "admin_policy_enforced",
        "a policy of the organisation forbids this client: allow it in the admin console",
    ),
    (
        "org_internal",
        "the client is for another organisation's people: make one in the project of your own",
    ),
    (
        "deleted_client",
        "the client was deleted: make another and set ENLIST_SMTP_OAUTH_CLIENT_ID and _CLIENT_SECRET",
    ),
    (
        "disabled_client",
        "the client is disabled: enable it at the token server",
    ),
];

/// Microsoft's list of sign-in error codes. They may change and only make words better: nothing is decided by them.
const ENTRA: &[(&str, &str)] = &[
    (
        "AADSTS7000215",
        "the client secret is wrong: ENLIST_SMTP_OAUTH_CLIENT_SECRET takes the secret's value, not its id",
    ),
    (
        "AADSTS7000222",
        "the client secret has expired: make a new one and set ENLIST_SMTP_OAUTH_CLIENT_SECRET",
    ),
    (
        "AADSTS7000218",
        "it wants a client secret: set ENLIST_SMTP_OAUTH_CLIENT_SECRET",
    ),
    (
        "AADSTS700025",
        "the client is a public one, which has no secret: unset ENLIST_SMTP_OAUTH_CLIENT_SECRET",
    ),
    (
        "AADSTS7000112",
        "the application is disabled: enable it among the enterprise applications",
    ),
    (
        "AADSTS700016",
        "the application is not in this tenant: check ENLIST_SMTP_OAUTH_CLIENT_ID and the tenant in \
         ENLIST_SMTP_OAUTH_TOKEN_URL",
    ),
    (
        "AADSTS90002",
        "there is no such tenant: check the one in ENLIST_SMTP_OAUTH_TOKEN_URL",
    ),
    (
        "AADSTS900023",
        "the tenant is neither an id nor a domain: check the one in ENLIST_SMTP_OAUTH_TOKEN_URL",
    ),
    (
        "AADSTS1002012",
        "without a refresh token the scope ends with /.default: set \
         ENLIST_SMTP_OAUTH_SCOPE=https://outlook.office365.com/.default",
    ),
    (
        "AADSTS500011",
        "the tenant does not have the resource that the scope names: set \
         ENLIST_SMTP_OAUTH_SCOPE=https://outlook.office365.com/.default",
    ),
    (
        "AADSTS65001",
        "nobody has consented to the permission: an administrator of the tenant grants it",
    ),
    (
        "AADSTS53003",
        "a Conditional Access policy forbids it: exempt the application or its network",
    ),
];

const OTHER: &str = "look the code up in the token server's documentation";

/// What to do about a refusal with these codes.
pub(super) fn remedy(code: &str, vendor_code: Option<&str>) -> &'static str {
    let of = |table: &[(&str, &'static str)], code: &str| {
        let line = table.iter().find(|(known, _)| *known == code);
        line.map(|(_, remedy)| *remedy)
    };
    vendor_code
        .and_then(|code| of(ENTRA, code))
        .or_else(|| of(STANDARD, code))
        .unwrap_or(OTHER)
}
