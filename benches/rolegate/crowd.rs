//! Whole companies who have signed in before, written into the database behind the program's back.

use aws_lc_rs::digest;
use rolegate::access::{AuthenticationMethod, Group, Identity};
use sqlx::{Connection as _, SqliteConnection};
use time::OffsetDateTime;

/// Lets everybody be known, in one transaction.
pub async fn note(url: &str, people: &[Identity]) {
    let mut connection = SqliteConnection::connect(url).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    // The columns are those of a row that the store wrote itself.
    let sql = "INSERT INTO known_person (connector, subject, search, username, display_name,
             email, entry_dn, first_seen_ms, seen_ms, groups_from_ms, groups_read_ms, group_set,
             authenticated_ms, method, authentication_context, asserted_roles, group_list,
             change_seq)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $8, $8, $9, $8, $10, NULL, '[]', $11, $12)";
    for (change, person) in (1_i64..).zip(people) {
        let groups = serde_json::to_string(&person.groups).unwrap();
        let set = digest::digest(&digest::SHA256, groups.as_bytes());
        let at = person.groups_read_at.unix_timestamp_nanos() / 1_000_000;
        sqlx::query(sql)
            .bind(person.connector.as_str())
            .bind(&person.subject)
            .bind(search(person))
            .bind(&person.username)
            .bind(&person.display_name)
            .bind(&person.email)
            .bind(&person.entry_dn)
            .bind(i64::try_from(at).unwrap())
            .bind(hex::encode(set))
            .bind(serde_json::to_string(&person.method).unwrap())
            .bind(groups)
            .bind(change)
            .execute(&mut *transaction)
            .await
            .unwrap();
    }
    transaction.commit().await.unwrap();
    connection.close().await.unwrap();
}

fn search(person: &Identity) -> String {
    let optional = |text: &Option<String>| text.clone().unwrap_or_default().to_lowercase();
    let (name, email) = (optional(&person.display_name), optional(&person.email));
    format!("{}\n{name}\n{email}", person.username.to_lowercase())
}

/// Somebody who signed in with a password.
pub fn person(index: usize, groups: Vec<Group>, at: OffsetDateTime) -> Identity {
    Identity {
        connector: "corp".parse().unwrap(),
        subject: format!("subject-{index}"),
        username: format!("person{index:05}"),
        display_name: Some(format!("Person {index:05}")),
        email: Some(format!("person{index:05}@example.com")),
        entry_dn: Some(format!("uid=person{index:05},ou=people,dc=example,dc=com")),
        groups,
        groups_read_at: at,
        authenticated_at: at,
        method: AuthenticationMethod::Password,
        authentication_context: None,
        asserted_roles: Vec::new(),
    }
}
