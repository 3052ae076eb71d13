//! More lists of the tests: whose name it is where commas, colons and cells are in doubt.

use super::forms::{ADA, BARE_BOB, BOB, BOB_FAMILY, FAMILY, PLAIN};

const CY: &str = "||Cy Dee|cy@x.yz";
const BARE_CY: &str = "||cy@x.yz|cy@x.yz";

/// Lists, and exactly who is in them.
pub(super) const PASTED: &[(&str, &[&str])] = &[
    // Whether a comma parts people or a name.
    (
        "Bob, Ada Lovelace <ada@x.yz>, Cy Dee <cy@x.yz>",
        &["1: Bob, Ada Lovelace <ada@x.yz>", CY],
    ),
    (
        "bob@x.yz, Lovelace, Ada <ada@x.yz>",
        &[BARE_BOB, "1: Lovelace, Ada <ada@x.yz>"],
    ),
    (
        "Bob, Cy, Ada Lovelace <ada@x.yz>, By, Bob <bob@x.yz>",
        &[
            "1: Bob, Cy, Ada Lovelace <ada@x.yz>",
            "1: By, Bob <bob@x.yz>",
        ],
    ),
    (
        "Bob, Ada Lovelace <ada@x.yz>",
        &["1: Bob, Ada Lovelace <ada@x.yz>"],
    ),
    (
        "Cy Dee <cy@x.yz>; Lovelace, Ada Maria <ada@x.yz>",
        &[CY, "Ada Maria|Lovelace|Ada Maria Lovelace|ada@x.yz"],
    ),
    (
        "Cy Dee <cy@x.yz>,\nLovelace, Ada <ada@x.yz>,\n",
        &[CY, FAMILY],
    ),
    (
        "Lovelace, Ada <ada@x.yz>, By, Bob <bob@x.yz>, cy@x.yz",
        &[FAMILY, BOB_FAMILY, BARE_CY],
    ),
    (
        "Bob, Ada Lovelace <ada@x.yz>, Eve, Cy Dee <cy@x.yz>",
        &[
            "1: Bob, Ada Lovelace <ada@x.yz>",
            "1: Eve, Cy Dee <cy@x.yz>",
        ],
    ),
    (
        "\"Lovelace, Ada\" <ada@x.yz>, By, Bob <bob@x.yz>",
        &[
            "Ada|Lovelace|Lovelace, Ada|ada@x.yz",
            "1: By, Bob <bob@x.yz>",
        ],
    ),
    (
        "Lovelace Works, Inc. <ada@x.yz>, Bob By <bob@x.yz>",
        &["||Lovelace Works, Inc.|ada@x.yz", BOB],
    ),
    // Colons.
    ("Ada Lovelace: ada@x.yz", &[ADA]),
    ("Ada Lovelace: ada@x.yz\nBob By: <bob@x.yz>\n", &[ADA, BOB]),
    (
        "Ada Lovelace: ada@x.yz; Bob By: bob@x.yz, Cy Dee : cy@x.yz",
        &[ADA, BOB, CY],
    ),
    ("- Lovelace, Ada: ada@x.yz\n- bob@x.yz", &[FAMILY, BARE_BOB]),
    (
        "Ada Lovelace: ada@x.yz, +49 30\nLead: [Bob By](mailto:bob@x.yz)",
        &["1: +49 30", ADA, BOB],
    ),
    (
        "Ada Lovelace: ada@x.yz (work)",
        &["1: Ada Lovelace: ada@x.yz (work)"],
    ),
    ("Team: ada@x.yz,\n bob@x.yz;", &[PLAIN, BARE_BOB]),
    ("Team: Ada Lovelace <ada@x.yz>;", &[ADA]),
    (
        "Participants:\n\n- ada@x.yz\n- bob@x.yz\n\ncy@x.yz",
        &[PLAIN, BARE_BOB, BARE_CY],
    ),
    ("Ada Lovelace:\nada@x.yz", &["2: Ada Lovelace: ada@x.yz"]),
    (
        "Ada Lovelace: to follow\nBob By: bob@x.yz\nCy Dee:",
        &["1: Ada Lovelace: to follow", BOB, "3: Cy Dee:"],
    ),
    (
        "From: ada@x.yz\r\nTo: bob@x.yz\r\nCc: Cy Dee <cy@x.yz>\r\nBcc:\r\n",
        &[PLAIN, BARE_BOB, CY],
    ),
    ("An: ada@x.yz; E-Mail-Adresse: bob@x.yz", &[PLAIN, BARE_BOB]),
    (
        "\"bob@x.yz\"<:<ada@x.yz>cy@x.yz",
        &["1: \"bob@x.yz\"", PLAIN, BARE_CY],
    ),
    ("https://x.yz/ada@x.yz", &["1: https://x.yz/ada@x.yz"]),
    // Rows of spreadsheets.
    (
        "Ada Lovelace\tada@x.yz\tResearch\r\nBob By\tbob@x.yz\tPlant 2; left\r\n",
        &[ADA, BOB],
    ),
    ("E-Mail\nada@x.yz\nbob@x.yz", &[PLAIN, BARE_BOB]),
    (
        "ada@x.yz\tAda\tLovelace\t4711\nbob@x.yz\tBob By\tResearch",
        &[ADA, BOB],
    ),
    (
        "Ada Lovelace\tada@x.yz\ta, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z",
        &[ADA],
    ),
    (
        "Ada Lovelace\tada@x.yz\tBob By\tbob@x.yz\nCy Dee\t\tResearch",
        &[ADA, BOB, "2: Cy Dee Research"],
    ),
    (
        "Ada Lovelace\tada@x.yz\tbob at x.yz",
        &["1: bob at x.yz", ADA],
    ),
    (
        "\"Lovelace, Ada\"\tada@x.yz\tResearch",
        &["Ada|Lovelace|Lovelace, Ada|ada@x.yz"],
    ),
    (
        "<table><tr><th>Name</th><th>Mail</th></tr><tr><td>Ada Lovelace</td><td>ada@x.yz</td></tr></table>",
        &[ADA],
    ),
    (
        "To:\tAda Lovelace <ada@x.yz>; Bob By <bob@x.yz>\nE-Mail:\tcy@x.yz",
        &[ADA, BOB, BARE_CY],
    ),
    // Word.
    (
        "a.\tAda Lovelace <ada@x.yz>\n\u{F0B7}\tBob By <bob@x.yz>\n1.1. \tcy@x.yz.",
        &[ADA, BOB, BARE_CY],
    ),
    // Mail programs and chats.
    (
        "Ada Lovelace (ada@x.yz) <ada@x.yz>; bob@x.yz (bob@x.yz)",
        &[ADA, BARE_BOB],
    ),
    (
        "ada@x.yz ada@x.yz <mailto:ada@x.yz>, <bob@x.yz> <bob@x.yz>",
        &[PLAIN, BARE_BOB],
    ),
    (
        "ada@x.yz, ADA@x.yz; ada@x.yz",
        &[PLAIN, "||ADA@x.yz|ADA@x.yz", PLAIN],
    ),
    (
        "=?utf-8?Q?Ada_Lovelace?= <ada@x.yz>",
        &["||=?utf-8?Q?Ada_Lovelace?=|ada@x.yz"],
    ),
    (
        "\u{A0}\u{2022}\u{A0}Ada\u{A0}Lovelace\u{A0}<ada@x.yz>\u{A0};\u{A0}\r\n‘bob@x.yz’ <bob@x.yz>.",
        &[ADA, BARE_BOB],
    ),
    (
        "Ada <ada@bücher.example>; bob@xn--bcher-kva.example",
        &[
            "||Ada|ada@bücher.example",
            "||bob@bücher.example|bob@bücher.example",
        ],
    ),
    (
        "Bob By <bob@x.yz>; 'Ada\r\n  Lovelace' <ada@x.yz>;",
        &[BOB, ADA],
    ),
    (
        "[bob@x.yz](mailto:ada@x.yz)\n<mailto:bob@x.yz?cc=cy@x.yz>",
        &[
            "1: bob@x.yz <mailto:ada@x.yz>",
            "2: mailto:bob@x.yz?cc=cy@x.yz",
        ],
    ),
    (
        "<a title=\"cy@x.yz\" href=\"mailto:ada@x.yz\">Ada</a>",
        &["1: a title=\"cy@x.yz\" href=\"mailto:ada@x.yz\"", "1: Ada"],
    ),
];
