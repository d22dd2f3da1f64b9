#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

#[test]
fn scalars_that_yaml_1_1_misreads_are_quoted() {
    for text in [
        "52:54:00:00:00:10",
        "on",
        "off",
        "yes",
        "No",
        "y",
        "n",
        "1:30",
        "=",
        "<<",
        "0644",
        "1_000",
        "2001-12-14",
        "null",
        "~",
        "",
        "1e3",
        ".5",
        "0x1f",
        "-",
        "true",
        "0b101",
        "+1",
        " a",
        "a ",
        "a: b",
        "a #b",
        "@a",
        "`a",
        "%a",
        "!a",
        "&a",
        "*a",
        "|",
        ">",
        "?",
        "- a",
    ] {
        let written = to_string(&Value::map([("k", Value::from(text))])).unwrap();
        assert!(
            written.starts_with("k: \"") || written.starts_with("k: '"),
            "{text:?} is written bare: {written}"
        );
        assert_eq!(from_str::<Value>(&written).unwrap().get("k"), Some(&Value::from(text)));
        let direct = write(&Value::map([("k", Value::from(text))]));
        assert!(direct.starts_with("k: \""), "{text:?} is written bare: {direct}");
        assert_eq!(from_str::<Value>(&direct).unwrap().get("k"), Some(&Value::from(text)));
    }
}

#[test]
fn keys_that_yaml_1_1_misreads_are_quoted() {
    assert_eq!(to_string(&Value::map([("on", Value::Int(1))])).unwrap(), "\"on\": 1\n");
}

#[test]
fn words_addresses_and_numbers_are_bare() {
    let value: Value = from_str(
        "a: [eno1, 10.0.0.1, 10.0.0.0/8, bond0.300, br-x, 0.0.0.0/0, lab.example]\nb: {}\nc: []\nd: [[1, 2], {x: 1.5, y1: [true]}]\ne: null\n",
    )
    .unwrap();
    assert_eq!(
        write(&value),
        "a:\n- eno1\n- 10.0.0.1\n- 10.0.0.0/8\n- bond0.300\n- br-x\n- 0.0.0.0/0\n- lab.example\nb: {}\nc: []\nd:\n- - 1\n  - 2\n- x: 1.5\n  y1:\n  - true\ne: null\n"
    );
}

#[test]
fn a_key_beyond_the_limit_of_implicit_keys_is_explicit() {
    let value = Value::map([("k".repeat(2000), Value::map([("a", Value::Int(1))]))]);
    assert_eq!(from_str::<Value>(&write(&value)).unwrap(), value);
}

#[test]
fn mappings_keep_their_order_and_compare_without_it() {
    let one: Value = from_str("b: 1\na: 2\n").unwrap();
    assert_eq!(to_string(&one).unwrap(), "b: 1\na: 2\n");
    assert_eq!(one, from_str::<Value>("a: 2\nb: 1\n").unwrap());
}

#[test]
fn a_fault_is_reported_with_line_and_column() {
    let error = from_str::<Value>("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
    assert!(error.line().is_some() && error.column().is_some(), "{error}");
    let error = from_str::<Value>("a: 1\na: 2\n").unwrap_err();
    assert_eq!((error.line(), error.column()), (Some(2), Some(1)), "{error}");
}

#[test]
fn every_part_of_a_node_knows_where_it_is() {
    let node: Node = from_str("a: 1\nb:\n  - x\n  - {c: d}\n").unwrap();
    let NodeKind::Map(entries) = &node.kind else { unreachable!("{node:?}") };
    assert_eq!((entries[1].0.line, entries[1].0.column), (2, 1));
    let NodeKind::List(items) = &entries[1].1.kind else { unreachable!("{node:?}") };
    assert_eq!((items[0].line, items[0].column), (3, 5));
    assert_eq!((items[1].line, items[1].column), (4, 5));
    assert_eq!(items[1].get("c").map(|node| (node.line, node.column)), Some((4, 9)));
    assert_eq!(node.to_value(), from_str::<Value>("{a: 1, b: [x, {c: d}]}").unwrap());
}

#[test]
fn aliases_are_resolved_and_bombs_are_refused() {
    let value: Value = from_str("a: &x [1, 2]\nb: *x\n").unwrap();
    assert_eq!(value.get("a"), value.get("b"));
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let below = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", vec![below; 10].join(", "));
    }
    assert!(from_str::<Value>(&bomb).is_err());
}

#[test]
fn texts_beyond_the_limits_are_refused() {
    let limits = Limits { bytes: 64, depth: 3, nodes: 5 };
    assert!(matches!(
        from_str_within::<Value>(&"x".repeat(65), &limits),
        Err(Error::TooLong { limit: 64, actual: 65 })
    ));
    assert!(from_str_within::<Value>("[[[[1]]]]", &limits).is_err());
    assert!(from_str_within::<Value>("[1, 2, 3, 4, 5, 6]", &limits).is_err());
    assert!(from_str_within::<Value>("[1, 2, 3]", &limits).is_ok());
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-1e15..1e15).prop_map(|number: f64| Value::Float(number + 0.5)),
        any::<String>().prop_map(Value::String),
        "[ -~]{0,12}".prop_map(Value::String),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            prop::collection::vec(("[ -~]{1,8}", inner), 0..4).prop_map(Value::map),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_written_reads_back_as_the_same_value(value in any_value()) {
        let text = to_string(&value).unwrap();
        prop_assert_eq!(&from_str::<Value>(&text).unwrap(), &value, "{}", text);
        let text = write(&value);
        prop_assert_eq!(&from_str::<Value>(&text).unwrap(), &value, "{}", text);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in any::<String>()) {
        drop(from_str::<Value>(&text));
        drop(from_str::<Node>(&text));
    }
}
