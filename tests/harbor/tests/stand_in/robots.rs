//! Robots, and people with a part in one project.

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::api::Api;
use crate::harbor::{Harbor, PASSWORD};
use crate::image::{Image, login, pull};

fn robot(name: &str, project: &str, actions: &[&str]) -> Value {
    let access: Vec<Value> = actions.iter().map(|action| json!({"resource": "repository", "action": action})).collect();
    json!({"name": name, "level": "project", "duration": -1,
        "permissions": [{"kind": "project", "namespace": project, "access": access}]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_robot_stays_in_its_project_and_within_its_rights() {
    let harbor = Harbor::start().await;
    harbor.project("team", -1).await;
    harbor.project("other", -1).await;
    let api = harbor.api();
    let image = Image::new(&harbor.ground.directory, 1, 10_000);
    image.push(&harbor, &format!("admin:{PASSWORD}"), "other/hello:1").expect("a push");

    let (status, made) =
        api.call(Method::POST, "/api/v2.0/robots", Some(&robot("ci", "team", &["pull", "push"]))).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert_eq!(made["name"], "robot$team+ci");
    let secret = made["secret"].as_str().expect("a secret");
    let credentials = format!("robot$team+ci:{secret}");
    login(&harbor, "robot$team+ci", secret).expect("a login");
    image.push(&harbor, &credentials, "team/hello:1").expect("a push");
    assert_eq!(pull(&harbor, Some(&credentials), "team/hello:1").as_ref(), Ok(&image.digest));
    assert!(image.push(&harbor, &credentials, "other/hello:2").is_err());
    assert!(pull(&harbor, Some(&credentials), "other/hello:1").is_err());
    // It looks after nothing.
    let own = Api::new(&harbor.url(), "robot$team+ci", secret);
    assert_eq!(
        own.does(Method::POST, "/api/v2.0/projects", json!({"project_name": "mine"})).await,
        StatusCode::FORBIDDEN
    );

    let (_, reader) = api.call(Method::POST, "/api/v2.0/robots", Some(&robot("reader", "team", &["pull"]))).await;
    let reader = format!("robot$team+reader:{}", reader["secret"].as_str().expect("a secret"));
    assert!(image.push(&harbor, &reader, "team/hello:2").is_err());
    pull(&harbor, Some(&reader), "team/hello:1").expect("a pull");

    // A new secret ends the old one; a robot that is disabled ends, too.
    let path = format!("/api/v2.0/robots/{}", made["id"]);
    assert_eq!(api.does(Method::PATCH, &path, json!({"secret": "too-weak"})).await, StatusCode::BAD_REQUEST);
    assert_eq!(api.does(Method::PATCH, &path, json!({"secret": "Chosen-by-hand-1"})).await, StatusCode::OK);
    assert!(login(&harbor, "robot$team+ci", secret).is_err());
    login(&harbor, "robot$team+ci", "Chosen-by-hand-1").expect("a login");
    let mut told = api.get(&path).await;
    told["disable"] = json!(true);
    assert_eq!(api.does(Method::PUT, &path, told).await, StatusCode::OK);
    assert!(login(&harbor, "robot$team+ci", "Chosen-by-hand-1").is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_and_the_administrator_do_what_their_roles_say() {
    let harbor = Harbor::start().await;
    harbor.project("team", -1).await;
    let api = harbor.api();
    let person =
        json!({"username": "anna", "email": "anna@example.com", "realname": "Anna", "password": "Anna-Password-0"});
    assert_eq!(api.does(Method::POST, "/api/v2.0/users", person.clone()).await, StatusCode::CREATED);
    assert_eq!(api.does(Method::POST, "/api/v2.0/users", person).await, StatusCode::CONFLICT);
    let anna = Api::new(&harbor.url(), "anna", "Anna-Password-0");
    let project = "/api/v2.0/projects/team";
    assert_eq!(anna.call(Method::GET, project, None).await.0, StatusCode::FORBIDDEN);

    let members = format!("{project}/members");
    let guest = json!({"role_id": 3, "member_user": {"username": "anna"}});
    assert_eq!(api.does(Method::POST, &members, guest.clone()).await, StatusCode::CREATED);
    assert_eq!(api.does(Method::POST, &members, guest).await, StatusCode::CONFLICT);
    let image = Image::new(&harbor.ground.directory, 1, 10_000);
    assert!(image.push(&harbor, "anna:Anna-Password-0", "team/hello:1").is_err());
    let listed = api.get(&format!("{members}?entityname=anna")).await;
    let member = format!("{members}/{}", listed[0]["id"]);
    assert_eq!(api.does(Method::PUT, &member, json!({"role_id": 2})).await, StatusCode::OK);
    image.push(&harbor, "anna:Anna-Password-0", "team/hello:1").expect("a push");
    assert_eq!(api.does(Method::DELETE, project, json!(null)).await, StatusCode::PRECONDITION_FAILED);

    // The first password counts only once: another is set by the API.
    let own = "/api/v2.0/users/1/password";
    let wrong = json!({"old_password": "No-Password-0", "new_password": "Another-Password-0"});
    assert_eq!(api.does(Method::PUT, own, wrong).await, StatusCode::FORBIDDEN);
    let right = json!({"old_password": PASSWORD, "new_password": "Another-Password-0"});
    assert_eq!(api.does(Method::PUT, own, right).await, StatusCode::OK);
    assert_eq!(api.call(Method::GET, "/api/v2.0/users/current", None).await.0, StatusCode::UNAUTHORIZED);
    let anew = Api::new(&harbor.url(), "admin", "Another-Password-0");
    assert_eq!(anew.get("/api/v2.0/users/current").await["sysadmin_flag"], true);
}
