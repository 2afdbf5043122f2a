//! The questions to the API server.

use std::fmt;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use super::identity::Identity;
use super::right::{GROUP, Right};
use super::token::Claims;
use crate::kubernetes::kube_error;

/// Asks the API server, a bounded number of questions at a time.
pub(super) struct Reviewer {
    client: Client,
    places: Semaphore,
}

/// Why nobody could be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Absent(pub(super) String);

/// Questions at a time. Further ones wait.
const AT_A_TIME: usize = 32;
/// For the wait for a place and an answer.
const TIMEOUT: Duration = Duration::from_secs(5);

// === impl Reviewer ===

impl Reviewer {
    pub(super) fn new(client: Client) -> Self {
        Self { client, places: Semaphore::new(AT_A_TIME) }
    }

    /// Whose token it is; the inner error is the API server's reason why it is nobody's.
    pub(super) async fn whose(&self, token: String, claims: &Claims) -> Result<Result<UserInfo, String>, Absent> {
        let spec = TokenReviewSpec { token, audiences: claims.audiences() };
        let review = TokenReview { spec, ..TokenReview::default() };
        let status = self.ask(&review).await?.status.unwrap_or_default();
        if status.authenticated == Some(true) {
            return Ok(Ok(status.user.unwrap_or_default()));
        }
        Ok(Err(status.error.unwrap_or_else(|| "not authenticated".to_owned())))
    }

    /// Whether they may; the inner error is what the authorizer adds to a no, or nothing.
    pub(super) async fn may(&self, who: &Identity, right: Right<'_>) -> Result<Result<(), String>, Absent> {
        let (resource, subresource) = right.parts();
        let named = |name: &str| Some(name.to_owned()).filter(|name| !name.is_empty());
        let attributes = ResourceAttributes {
            group: Some(GROUP.to_owned()),
            resource: named(resource),
            subresource: subresource.map(str::to_owned),
            verb: named(right.verb),
            namespace: named(right.namespace),
            name: named(right.name),
            ..ResourceAttributes::default()
        };
        let spec = SubjectAccessReviewSpec {
            user: named(who.user()),
            uid: named(who.uid()),
            groups: Some(who.groups().to_vec()),
            extra: Some(who.extra().clone()),
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let status = self.ask(&review).await?.status.unwrap_or_default();
        if status.allowed && status.denied != Some(true) {
            return Ok(Ok(()));
        }
        Ok(Err(status.reason.or(status.evaluation_error).unwrap_or_default()))
    }

    async fn ask<K>(&self, review: &K) -> Result<K, Absent>
    where
        K: kube::Resource<Scope = k8s_openapi::ClusterResourceScope, DynamicType = ()>,
        K: serde::Serialize + DeserializeOwned + Clone + fmt::Debug,
    {
        let asking = async {
            // Never closed.
            let _place = self.places.acquire().await;
            Api::<K>::all(self.client.clone()).create(&PostParams::default(), review).await
        };
        match tokio::time::timeout(TIMEOUT, asking).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Absent(kube_error::words(&error))),
            Err(_) => Err(Absent(format!("no answer within {} s", TIMEOUT.as_secs()))),
        }
    }
}

impl fmt::Debug for Reviewer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reviewer").field("free", &self.places.available_permits()).finish()
    }
}
