//! The lists of the tests.

pub(super) const ADA: &str = "||Ada Lovelace|ada@x.yz";
pub(super) const PLAIN: &str = "||ada@x.yz|ada@x.yz";
pub(super) const FAMILY: &str = "Ada|Lovelace|Ada Lovelace|ada@x.yz";
pub(super) const BOB: &str = "||Bob By|bob@x.yz";
pub(super) const BARE_BOB: &str = "||bob@x.yz|bob@x.yz";
pub(super) const BOB_FAMILY: &str = "Bob|By|Bob By|bob@x.yz";

/// The forms that lists have where they come from, and exactly who is in them.
pub(super) const FORMS: &[(&str, &[&str])] = &[
    // Outlook.
    (
        "Lind, Asa <paste.one@fail.example>; O Brien, Cian (Plant 2) <paste.two@fail.example>\n",
        &[
            "Asa|Lind|Asa Lind|paste.one@fail.example",
            "Cian|O Brien|Cian O Brien|paste.two@fail.example",
        ],
    ),
    (
        "Ada Lovelace (Plant 2) <ada@x.yz>; Bob By <bob@x.yz>;",
        &[ADA, BOB],
    ),
    (
        "Lovelace, Ada <ada@x.yz>\nBy, Bob <bob@x.yz>\n",
        &[FAMILY, BOB_FAMILY],
    ),
    (
        "Lovelace, Ada <ada@x.yz>, By, Bob <bob@x.yz>",
        &[FAMILY, BOB_FAMILY],
    ),
    (
        "Lovelace, Ada, Dr. <ada@x.yz>;",
        &["||Lovelace, Ada, Dr.|ada@x.yz"],
    ),
    (
        "Lovelace, Ada (Plant 2, Room 3; left) <ada@x.yz>",
        &[FAMILY],
    ),
    (
        "Lovelace Works, Inc. <ada@x.yz>",
        &["||Lovelace Works, Inc.|ada@x.yz"],
    ),
    (
        "'Ada Lovelace' <ada@x.yz>; 'bob@x.yz' <bob@x.yz>",
        &[ADA, BARE_BOB],
    ),
    (
        "Ada Lovelace <mailto:ada@x.yz>; bob@x.yz <mailto:bob@x.yz>",
        &[ADA, BARE_BOB],
    ),
    (
        "ada@x.yz; Lovelace, Ada <ada2@x.yz>",
        &[PLAIN, "Ada|Lovelace|Ada Lovelace|ada2@x.yz"],
    ),
    // Hard wraps and folded headers.
    (
        "By, Bob <bob@x.yz>; Lovelace,\nAda <ada@x.yz>",
        &[BOB_FAMILY, FAMILY],
    ),
    ("Bob By <bob@x.yz>; Ada\nLovelace <ada@x.yz>;", &[BOB, ADA]),
    (
        "To: Bob By <bob@x.yz>,\r\n Ada\r\n Lovelace <ada@x.yz>",
        &[BOB, "2: Ada", "||Lovelace|ada@x.yz"],
    ),
    (
        "To: Bob By <bob@x.yz>, Ada\r\n Lovelace\r\n <ada@x.yz>",
        &[BOB, ADA],
    ),
    (
        "Ada Lovelace\n<ada@x.yz>\n\nBob By\r\n  <bob@x.yz>",
        &[ADA, BOB],
    ),
    ("Lovelace,\n  Ada <ada@x.yz>", &[FAMILY]),
    (
        "\"Lovelace,\r\n Ada\" <ada@x.yz>",
        &["Ada|Lovelace|Lovelace, Ada|ada@x.yz"],
    ),
    (
        "Sales\n  Ada Lovelace <ada@x.yz>\n  Bob By <bob@x.yz>",
        &["1: Sales", ADA, BOB],
    ),
    // Quotes and comments.
    (
        r#""Lovelace, Ada" <ada@x.yz>, "Bob \"The \\ By\"" <bob@x.yz>"#,
        &[
            "Ada|Lovelace|Lovelace, Ada|ada@x.yz",
            r#"||Bob "The \ By"|bob@x.yz"#,
        ],
    ),
    (
        "Ada \"the Countess\" Lovelace <ada@x.yz>",
        &["||Ada \"the Countess\" Lovelace|ada@x.yz"],
    ),
    (
        "“Ada Lovelace” <ada@x.yz>; „Bob By“ <bob@x.yz>; «Cy» <cy@x.yz>",
        &[ADA, BOB, "||Cy|cy@x.yz"],
    ),
    ("\"ada@x.yz\", \"bob@x.yz\"", &[PLAIN, BARE_BOB]),
    ("[\"ada@x.yz\",\"bob@x.yz\"]", &[PLAIN, BARE_BOB]),
    ("\"ada@x.yz;bob@x.yz\"", &[PLAIN, BARE_BOB]),
    ("\"ada@x.yz\" <ada@x.yz>", &[PLAIN]),
    (
        "ada@x.yz (Ada Lovelace), bob@x.yz (By, Bob (Plant \\) 2))",
        &[ADA, "||By, Bob (Plant \\) 2)|bob@x.yz"],
    ),
    (
        "<ada@x.yz> (Ada Lovelace)\n(Bob By) <bob@x.yz>",
        &[ADA, BOB],
    ),
    (
        "Ada Lovelace <ada@x.yz> (Plant 2)\nBob By (bob@x.yz)",
        &[ADA, BOB],
    ),
    // Bullets, numbers, labels, groups.
    (
        "- ada@x.yz\n* Bob By <bob@x.yz>\n• Cy <cy@x.yz>\n– dee@x.yz",
        &[PLAIN, BOB, "||Cy|cy@x.yz", "||dee@x.yz|dee@x.yz"],
    ),
    (
        "1. ada@x.yz\n2) Bob By <bob@x.yz>\na) cy@x.yz\n10.\tdee@x.yz",
        &[PLAIN, BOB, "||cy@x.yz|cy@x.yz", "||dee@x.yz|dee@x.yz"],
    ),
    (
        "> - [ ] Ada Lovelace <ada@x.yz>\n> - [x] bob@x.yz",
        &[ADA, BARE_BOB],
    ),
    ("•ada@x.yz\n1.ada@x.yz", &[PLAIN, "||1.ada@x.yz|1.ada@x.yz"]),
    ("Team: ada@x.yz, Bob By <bob@x.yz>; Others:;", &[PLAIN, BOB]),
    (
        "To: Lovelace, Ada <ada@x.yz>; E-Mail:bob@x.yz",
        &[FAMILY, BARE_BOB],
    ),
    // Links.
    (
        "mailto:ada@x.yz, <mailto:bob@x.yz?subject=Hello>",
        &[PLAIN, BARE_BOB],
    ),
    (
        "see [Ada Lovelace](mailto:ada@x.yz), Bob By [bob@x.yz](mailto:bob@x.yz)",
        &["1: see", ADA, BOB],
    ),
    (
        "- **Ada Lovelace** <ada@x.yz>\n- `bob@x.yz`",
        &[ADA, BARE_BOB],
    ),
    (
        "<ul><li><a href=\"mailto:ada@x.yz\">Ada Lovelace</a></li><li>Bob By <a href='mailto:bob@x.yz'>bob@x.yz</a></li></ul>",
        &[ADA, BOB],
    ),
    (
        "<mailto:ada@x.yz|ada@x.yz> <mailto:bob%40x.yz>",
        &[PLAIN, BARE_BOB],
    ),
    // Tables.
    ("Ada Lovelace\tada@x.yz\nbob@x.yz\tBob By\n", &[ADA, BOB]),
    (
        "1\tAda\tLovelace\tada@x.yz\t4711\n2\tBob\tBy\tbob@x.yz\tSales\n",
        &[ADA, BOB],
    ),
    (
        "Lovelace, Ada\tada@x.yz\r\nBy, Bob\tbob@x.yz",
        &[FAMILY, BOB_FAMILY],
    ),
    // Full-width, invisible, trailing marks.
    (
        "ada@x.yz，Bob By <bob@x.yz>；cy@x.yz、dee@x.yz",
        &[PLAIN, BOB, "||cy@x.yz|cy@x.yz", "||dee@x.yz|dee@x.yz"],
    ),
    ("Ada Lovelace ＜ａｄａ＠ｘ．ｙｚ＞", &[ADA]),
    (
        "\u{FEFF}\u{200B}ada@x.yz\u{200B}\u{A0};\u{A0}Bob\u{A0}By\u{200B} <\u{202A}bob@x.yz\u{202C}>",
        &[PLAIN, BOB],
    ),
    ("ada@x.yz.\nBob By <bob@x.yz>,;", &[PLAIN, BOB]),
    (
        "山田、太郎 <taro@x.yz>；",
        &["太郎|山田|山田太郎|taro@x.yz"],
    ),
    // What is nobody, and what hides somebody.
    ("ada at x.yz\nbob@x.yz", &["1: ada at x.yz", BARE_BOB]),
    (
        "ada (at) x (dot) yz, ada[at]x.yz",
        &["1: ada (at) x (dot) yz", "1: ada[at]x.yz"],
    ),
    (
        "nobody, Ada Lovelace <ada@x.yz>, Bob By <bob@x.yz>",
        &["1: nobody", ADA, BOB],
    ),
    (
        "cy.x.yz, Ada Lovelace <ada@x.yz>; bob at x.yz, Bob By <bob@x.yz>",
        &["1: cy.x.yz", ADA, "1: bob at x.yz", BOB],
    ),
    (
        "nobody\n<ada@x.yz>\nbob@x.yz; somebody\nBob By <bob2@x.yz>",
        &[
            "1: nobody",
            PLAIN,
            BARE_BOB,
            "3: somebody",
            "||Bob By|bob2@x.yz",
        ],
    ),
    (
        "Ada Lovelace <ada@x.yz\nBob By <bob@x.yz, cy@x.yz>",
        &[ADA, BOB, "||cy@x.yz|cy@x.yz"],
    ),
    (
        "\"ada lovelace\"@x.yz <nobody> @ada",
        &["1: \"ada lovelace\"@x.yz", "1: nobody", "1: @ada"],
    ),
    ("Ada ada@x.yz", &["1: Ada", PLAIN]),
];
