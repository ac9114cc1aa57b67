//! An Auto Scaling group, against an endpoint that verifies signatures and answers as AWS does.

use super::super::super::aws::test_signature;
use super::*;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

#[derive(Default)]
struct Aws {
    desired: u32,
    machines: Vec<(String, String)>,
    /// Calls that are turned away.
    throttles: u32,
    calls: Vec<String>,
    refused: Vec<String>,
}

type Shared = Arc<Mutex<Aws>>;

async fn answer(State(aws): State<Shared>, headers: HeaderMap, body: String) -> (StatusCode, String) {
    let form: HashMap<String, String> = {
        let url = reqwest::Url::parse(&format!("form:?{body}")).unwrap();
        url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
    };
    let service = if form["Version"] == "2016-11-15" { "ec2" } else { "autoscaling" };
    let mut aws = aws.lock();
    if !test_signature(&headers, &body, SECRET, "eu-central-1", service) {
        aws.refused.push(form["Action"].clone());
        let text = "<ErrorResponse><Error><Type>Sender</Type><Code>SignatureDoesNotMatch</Code>\
                    <Message>The signature does not match</Message></Error></ErrorResponse>";
        return (StatusCode::FORBIDDEN, text.into());
    }
    if aws.throttles > 0 {
        aws.throttles -= 1;
        let text = "<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>";
        return (StatusCode::BAD_REQUEST, text.into());
    }
    aws.calls.push(form["Action"].clone());
    let text = match form["Action"].as_str() {
        "DescribeAutoScalingGroups" if form["AutoScalingGroupNames.member.1"] != "shards & co" => {
            "<DescribeAutoScalingGroupsResponse><DescribeAutoScalingGroupsResult><AutoScalingGroups/>\
             </DescribeAutoScalingGroupsResult></DescribeAutoScalingGroupsResponse>"
                .into()
        }
        "DescribeAutoScalingGroups" => {
            let machines: String = aws
                .machines
                .iter()
                .map(|(id, state)| {
                    format!(
                        "<member><InstanceId>{id}</InstanceId><LifecycleState>{state}</LifecycleState>\
                         <HealthStatus>Healthy</HealthStatus></member>"
                    )
                })
                .collect();
            format!(
                "<DescribeAutoScalingGroupsResponse xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\">\
                 <DescribeAutoScalingGroupsResult><AutoScalingGroups><member>\
                 <AutoScalingGroupName>shards &amp; co</AutoScalingGroupName><MinSize>0</MinSize>\
                 <Instances>{machines}</Instances><MaxSize>4</MaxSize><DesiredCapacity>{}</DesiredCapacity>\
                 </member></AutoScalingGroups></DescribeAutoScalingGroupsResult>\
                 <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></DescribeAutoScalingGroupsResponse>",
                aws.desired
            )
        }
        "DescribeInstances" => {
            let items: String = form
                .iter()
                .filter(|(name, _)| name.starts_with("InstanceId."))
                .map(|(_, id)| {
                    let last = id.trim_start_matches("i-");
                    format!(
                        "<item><reservationId>r</reservationId><instancesSet><item><instanceId>{id}</instanceId>\
                         <privateIpAddress>10.0.0.{last}</privateIpAddress></item></instancesSet></item>"
                    )
                })
                .collect();
            format!(
                "<DescribeInstancesResponse><reservationSet>{items}</reservationSet></DescribeInstancesResponse>"
            )
        }
        "SetDesiredCapacity" => {
            assert_eq!(form["HonorCooldown"], "false");
            aws.desired = form["DesiredCapacity"].parse().unwrap();
            "<SetDesiredCapacityResponse><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>\
             </SetDesiredCapacityResponse>"
                .into()
        }
        "TerminateInstanceInAutoScalingGroup" => {
            assert_eq!(form["ShouldDecrementDesiredCapacity"], "true");
            aws.desired -= 1;
            let id = form["InstanceId"].clone();
            aws.machines.iter_mut().find(|one| one.0 == id).unwrap().1 = "Terminating".into();
            "<TerminateInstanceInAutoScalingGroupResponse><TerminateInstanceInAutoScalingGroupResult><Activity/>\
             </TerminateInstanceInAutoScalingGroupResult></TerminateInstanceInAutoScalingGroupResponse>"
                .into()
        }
        other => panic!("{other}"),
    };
    (StatusCode::OK, text)
}

async fn serve(aws: Aws) -> (Shared, String) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let shared = Arc::new(Mutex::new(aws));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(shared.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (shared, url)
}

fn variables(secret: &'static str, token: bool) -> impl Fn(&str) -> Option<String> {
    move |name| match name {
        "AWS_ACCESS_KEY_ID" => Some("AKIDEXAMPLE".into()),
        "AWS_SECRET_ACCESS_KEY" => Some(secret.into()),
        "AWS_SESSION_TOKEN" if token => Some("a/token+of=a session".into()),
        _ => None,
    }
}

fn group(name: &str, url: &str, secret: &'static str) -> AutoScalingGroup {
    let options =
        GroupOptions { group: name.into(), region: "eu-central-1".into(), endpoint: Some(url.into()) };
    let credentials = CredentialSource::of_environment(variables(secret, true)).unwrap();
    AutoScalingGroup::with(options, credentials).unwrap()
}

#[tokio::test]
async fn machines_are_launched_listed_and_ended() {
    let machines = [("i-1", "InService"), ("i-2", "Pending"), ("i-3", "Terminating:Wait")];
    let machines = machines.map(|(id, state)| (id.to_string(), state.to_string())).to_vec();
    let (aws, url) = serve(Aws { desired: 2, machines, ..Aws::default() }).await;
    let group = group("shards & co", &url, SECRET);
    let listing = group.list().await.unwrap();
    let named: Vec<(&str, Option<&str>)> =
        listing.instances.iter().map(|one| (one.name.as_str(), one.host.as_deref())).collect();
    assert_eq!(named, [("i-1", Some("10.0.0.1")), ("i-2", Some("10.0.0.2"))]);
    assert_eq!(listing.expected, 2);
    group.grow(2).await.unwrap();
    assert!(!aws.lock().calls.contains(&"SetDesiredCapacity".to_string()), "there are as many");
    group.grow(4).await.unwrap();
    group.grow(4).await.unwrap();
    assert_eq!(aws.lock().desired, 4);
    assert_eq!(aws.lock().calls.iter().filter(|call| *call == "SetDesiredCapacity").count(), 1);
    assert_eq!(group.list().await.unwrap().expected, 4, "those on their way count");
    let why = group.grow(5).await.unwrap_err().to_string();
    assert!(why.contains("MaxSize"), "{why}");
    group.terminate("i-1").await.unwrap();
    group.terminate("i-1").await.unwrap();
    group.terminate("i-none").await.unwrap();
    assert_eq!(aws.lock().desired, 3, "once");
}

#[tokio::test]
async fn throttling_is_waited_for() {
    let (aws, url) = serve(Aws { throttles: 2, ..Aws::default() }).await;
    let group = group("shards & co", &url, SECRET);
    assert_eq!(group.list().await.unwrap(), Listing::default());
    aws.lock().throttles = 100;
    let why = group.list().await.unwrap_err().to_string();
    assert!(why.contains("Rate exceeded"), "{why}");
    assert_eq!(aws.lock().throttles, 95, "five tries");
}

#[tokio::test]
async fn what_aws_refuses_is_told_without_secrets() {
    let (aws, url) = serve(Aws::default()).await;
    let why = group("shards & co", &url, "another").list().await.unwrap_err().to_string();
    assert!(why.contains("SignatureDoesNotMatch") && !why.contains("another"), "{why}");
    assert_eq!(aws.lock().refused, ["DescribeAutoScalingGroups"], "it is not tried again");
    let why = group("none", &url, SECRET).list().await.unwrap_err().to_string();
    assert!(why.contains("no Auto Scaling group 'none'"), "{why}");
    let nobody = group("shards & co", "http://127.0.0.1:1/", SECRET).list().await;
    assert!(matches!(nobody, Err(Error::Cluster(_))));
}

#[test]
fn settings_that_cannot_be_meant_are_refused() {
    let options = |region: &str, endpoint: Option<&str>| {
        endpoint_of(region, endpoint).map_err(|error| error.to_string())
    };
    assert_eq!(options("eu-central-1", None).unwrap(), "https://autoscaling.eu-central-1.amazonaws.com/");
    assert_eq!(options("cn-north-1", None).unwrap(), "https://autoscaling.cn-north-1.amazonaws.com.cn/");
    assert!(options("eu.evil.example/", None).is_err() && options("", None).is_err());
    assert!(options("eu-central-1", Some("nothing")).is_err());
    let half = |name: &str| (name == "AWS_ACCESS_KEY_ID").then(|| "x".to_string());
    assert!(CredentialSource::of_environment(half).is_err());
}

fn endpoint_of(region: &str, other: Option<&str>) -> Result<String> {
    endpoint("autoscaling", region, other).map(|url| url.to_string())
}
