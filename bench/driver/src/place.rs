//! The schema of a measurement in PostgreSQL, for competitors that only support the search path.

/// Removes `schema=NAME` from the query of a URL and returns both.
#[must_use]
pub fn schema_of(url: &str) -> (String, Option<String>) {
    let Some((address, query)) = url.split_once('?') else { return (url.to_owned(), None) };
    let (ours, others): (Vec<&str>, Vec<&str>) = query.split('&').partition(|pair| pair.starts_with("schema="));
    let schema = ours.first().and_then(|pair| pair.strip_prefix("schema=")).map(str::to_owned);
    let address = match others.is_empty() {
        true => address.to_owned(),
        false => format!("{address}?{}", others.join("&")),
    };
    (address, schema)
}

/// The URL with the schema as the search path of its connections.
#[must_use]
pub fn with_search_path(url: &str) -> String {
    match schema_of(url) {
        (address, None) => address,
        (address, Some(schema)) => {
            let joint = if address.contains('?') { '&' } else { '?' };
            format!("{address}{joint}options=-c%20search_path%3D{schema}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_becomes_a_search_path() {
        let path = with_search_path("postgres://me@here:1/db?schema=s_1&sslmode=disable");
        assert_eq!(path, "postgres://me@here:1/db?sslmode=disable&options=-c%20search_path%3Ds_1");
        assert_eq!(with_search_path("postgres://here/db"), "postgres://here/db");
    }
}
