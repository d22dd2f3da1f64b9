#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use maas_core::machine::{Precondition, Role};

use super::*;
use crate::images::documents::ResourceDocument;
use crate::testing::{form, image, machine, region};

fn alice() -> Actor {
    Actor { username: "alice".to_owned(), role: Role::User }
}

async fn try_to_plan(region: &Region, machine: &Machine) -> Result<DeploymentPlan, Problem> {
    let order = Order::read(&form(&[("osystem", "ubuntu"), ("ephemeral_deploy", "true")])).unwrap();
    let endpoints = Endpoints::new("127.0.0.1".to_owned());
    plan(region, machine, &alice(), &order, &endpoints).await
}

async fn with_noble(region: &Region) {
    let document = ResourceDocument {
        boot_source_id: 1,
        completed: maas_core::time::Timestamp(0),
        resource: image("noble"),
    };
    region.store.put(document).await.unwrap();
    region.images.reload(&*region.store).await.unwrap();
}

fn allocated() -> Machine {
    let mut machine = machine(1);
    machine.status = Status::Allocated;
    machine.owner = Some("alice".to_owned());
    machine
}

#[tokio::test]
async fn without_images_the_answer_says_what_is_missing_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let region = region(dir.path()).await;
    let problem = try_to_plan(&region, &allocated()).await.unwrap_err();
    let Problem::Fields(errors) = &problem else { panic!("{problem:?}") };
    let (field, sentences) = errors.iter().next().unwrap();
    assert_eq!(field, FieldErrors::ALL);
    let missing = Precondition::TargetImage {
        image: "ubuntu/noble".to_owned(),
        architecture: "amd64/generic".to_owned(),
    };
    assert!(sentences.contains(&with_remedy(&missing)), "{sentences:?}");
    assert_eq!(sentences.len(), 2, "target and ephemeral image at once: {sentences:?}");
}

#[tokio::test]
async fn one_reason_alone_is_a_sentence_with_its_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let region = region(dir.path()).await;
    with_noble(&region).await;
    let mut machine = allocated();
    machine.owner = Some("bob".to_owned());
    let problem = try_to_plan(&region, &machine).await.unwrap_err();
    let text = problem.to_string();
    let expected = with_remedy(&Precondition::Allocated { owner: Some("bob".to_owned()) });
    assert!(text.contains(&expected), "{text}");
}

#[tokio::test]
async fn a_preview_shows_the_artefacts_and_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let region = region(dir.path()).await;
    with_noble(&region).await;
    let machine = allocated();
    let plan = try_to_plan(&region, &machine).await.unwrap();
    let shown = shown(&plan);
    assert_eq!(shown["distro_series"], "noble", "the newest release, because none was named");
    assert!(!shown["artefacts"].as_array().unwrap().is_empty());
    let secret = machine.credentials.token_secret.expose();
    assert!(!shown.to_string().contains(&format!("\"{secret}\"")), "{shown}");
    assert!(curtin_yaml(&plan).is_err(), "nothing is installed");
}

#[tokio::test]
async fn only_machines_that_are_ready_or_allocated_are_deployed() {
    let dir = tempfile::tempdir().unwrap();
    let region = region(dir.path()).await;
    let machine = Arc::new(machine(1));
    let order = Order::read(&form(&[])).unwrap();
    let endpoints = Endpoints::new("127.0.0.1".to_owned());
    let refused = deploy(Arc::new(region), machine, alice(), order, None, endpoints, String::new())
        .await
        .unwrap_err();
    assert!(matches!(refused, Problem::Conflict(_)), "{refused:?}");
}
