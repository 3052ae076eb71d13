//! What the service's role may do, as compared with what the service needs: what is missing, what is more, and what to run.

use diesel::{
    prelude::*,
    sql_types::{Array, Bool, Nullable, Text},
};

use super::{
    errors::DbError,
    pool::Db,
    privileges::{functions_missed_by, known, needed, tables_for},
};

/// What a role may do, as compared with what the service needs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Powers {
    /// Whether it is who owns the tables.
    pub is_owner: bool,
    /// What it needs and may not do.
    pub missing: Vec<String>,
    /// What it may do and does not need.
    pub excess: Vec<Excess>,
}

/// Something that the service does not need.
#[derive(Debug, PartialEq, Eq)]
pub struct Excess {
    /// What it may do.
    pub what: String,
    /// What is to be run by a superuser, or whoever granted it; `None`: `enlist migrate` takes it.
    pub remedy: Option<String>,
}

impl Db {
    /// What the role of these connections may do.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn powers(&self) -> Result<Powers, DbError> {
        self.read(|connection| Ok(powers(connection)?)).await
    }
}

pub(super) fn powers(connection: &mut PgConnection) -> QueryResult<Powers> {
    #[derive(QueryableByName)]
    struct Who {
        #[diesel(sql_type = Text)]
        role: String,
        #[diesel(sql_type = Bool)]
        is_owner: bool,
        #[diesel(sql_type = Bool)]
        is_super: bool,
    }
    let who: Who = diesel::sql_query(include_str!("sql/who.sql")).get_result(connection)?;
    let mut powers = Powers {
        is_owner: who.is_owner,
        missing: Vec::new(),
        excess: attributes(connection)?,
    };
    // A superuser may do everything else, too.
    if who.is_owner || who.is_super {
        return Ok(powers);
    }
    for table in tables_for(connection, &who.role)? {
        let is_held = |privilege: &&&str| table.held.iter().any(|held| held == **privilege);
        let needed = needed(&table.name).iter();
        let missed = needed.filter(|privilege| !is_held(privilege));
        let missed = missed.map(|privilege| format!("{privilege} {}", table.name));
        powers.missing.extend(missed);
    }
    let functions = functions_missed_by(connection, &who.role)?;
    let functions = functions.iter().map(|of| format!("EXECUTE {of}"));
    powers.missing.extend(functions);
    powers.excess.extend(memberships_and_property(connection)?);
    powers.excess.extend(grants(connection, &who.role)?);
    Ok(powers)
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Text)]
    what: String,
    #[diesel(sql_type = Text)]
    remedy: String,
}

fn told(found: Vec<Found>) -> Vec<Excess> {
    let excess = found.into_iter().map(|found| Excess {
        what: found.what,
        remedy: Some(found.remedy),
    });
    excess.collect()
}

/// What is said of the role itself.
fn attributes(connection: &mut PgConnection) -> QueryResult<Vec<Excess>> {
    let found = diesel::sql_query(include_str!("sql/attributes.sql")).load(connection)?;
    Ok(told(found))
}

/// Roles that it can become and that may do more than read how the server is, and what it owns.
fn memberships_and_property(connection: &mut PgConnection) -> QueryResult<Vec<Excess>> {
    let found = diesel::sql_query(include_str!("sql/memberships_and_property.sql"))
        .bind::<Array<Text>, _>(known())
        .load(connection)?;
    Ok(told(found))
}

/// What was granted to it, to everybody or to a role that it has.
fn grants(connection: &mut PgConnection, role: &str) -> QueryResult<Vec<Excess>> {
    #[derive(QueryableByName)]
    struct Grant {
        #[diesel(sql_type = Text)]
        kind: String,
        #[diesel(sql_type = Text)]
        name: String,
        /// As it is written in SQL.
        #[diesel(sql_type = Text)]
        quoted: String,
        #[diesel(sql_type = Nullable<Text>)]
        column: Option<String>,
        #[diesel(sql_type = Text)]
        privilege: String,
        #[diesel(sql_type = Text)]
        grantee: String,
        #[diesel(sql_type = Bool)]
        is_own: bool,
    }
    let grants: Vec<Grant> = diesel::sql_query(include_str!("sql/grants.sql"))
        .bind::<Array<Text>, _>(known())
        .bind::<Text, _>(role)
        .load(connection)?;
    let excess = grants.into_iter().filter_map(|grant| {
        let needed = match grant.kind.as_str() {
            "DATABASE" => &["CONNECT"],
            "SCHEMA" => &["USAGE"],
            "SEQUENCE" => &["SELECT"],
            _ => needed(&grant.name),
        };
        if needed.contains(&grant.privilege.as_str()) {
            return None;
        }
        let part = grant.column.as_ref();
        let part = part.map(|column| format!(" ({column})"));
        let privilege = format!("{}{}", grant.privilege, part.unwrap_or_default());
        let is_migrated = grant.kind == "TABLE" && grant.is_own;
        Some(Excess {
            what: match grant.kind.as_str() {
                "TABLE" => format!("{privilege} {}", grant.name),
                kind => format!("{privilege} in the {} {}", kind.to_lowercase(), grant.name),
            },
            remedy: (!is_migrated).then(|| {
                let Grant {
                    kind,
                    quoted,
                    grantee,
                    ..
                } = &grant;
                format!("REVOKE {privilege} ON {kind} {quoted} FROM {grantee}")
            }),
        })
    });
    Ok(excess.collect())
}
