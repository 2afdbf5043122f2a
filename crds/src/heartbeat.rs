//! Heartbeats: endpoints that say themselves that they live.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::duration::ApiDuration;
use crate::schema::{any_integer, text_or_number};

/// Every endpoint of the registration says at regular times that it lives: by one line with curl, over an agent's stream, or by
/// renewing a Lease. One that falls silent is Critical. `heartbeat: {}` has every default: a beat each second, Critical after 3s.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.ttl) || !has(self.phi)")
        .message("heartbeat: give only one of ttl and phi; ttl is a fixed time, phi learns how regular each instance is"),
    // What is no duration at all is the business of the fields' own rules.
    validation = Rule::new(r"!has(self.ttl) || !(type(self.ttl) == string && !self.ttl.contains(' ')
        && (self.ttl.endsWith('s') || self.ttl.endsWith('m') || self.ttl.endsWith('h')))
        || !has(self.interval) || !(type(self.interval) == string && !self.interval.contains(' ')
        && (self.interval.endsWith('s') || self.interval.endsWith('m') || self.interval.endsWith('h')))
        || duration(self.interval) < duration(self.ttl)")
        .message("heartbeat: ttl must be longer than interval, better three times as long: each single lost beat would evict else")
        .field_path(".ttl"),
    validation = Rule::new(r"!has(self.phi) || !has(self.phi.hardDeadline)
        || !(type(self.phi.hardDeadline) == string && !self.phi.hardDeadline.contains(' ')
        && (self.phi.hardDeadline.endsWith('s') || self.phi.hardDeadline.endsWith('m') || self.phi.hardDeadline.endsWith('h')))
        || (has(self.interval) && !(type(self.interval) == string && !self.interval.contains(' ')
        && (self.interval.endsWith('s') || self.interval.endsWith('m') || self.interval.endsWith('h'))))
        || duration(has(self.interval) ? self.interval : '1s') < duration(self.phi.hardDeadline)")
        .message("heartbeat: phi.hardDeadline must be longer than interval (by default 1s); lengthen it, or leave it out")
        .field_path(".phi.hardDeadline"),
)]
pub struct HeartbeatSpec {
    /// A duration such as 1s: how often each endpoint says that it lives, from 100ms to 1h. By default a third of ttl, and
    /// without ttl 1s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = text_or_number)]
    #[x_kube(validation = Rule::new(r"type(self) == string && (self.endsWith('s') || self.endsWith('m') || self.endsWith('h'))
        && !self.matches(r'[^\dhms]') && duration(self) >= duration('100ms') && duration(self) <= duration('1h')")
        .message("heartbeat interval: give a whole number with its unit, from 100ms to 1h, such as 1s or 500ms"))]
    pub interval: Option<ApiDuration>,
    /// A duration such as 3s: an endpoint that has been silent for this long is Critical. From 500ms to 24h, and longer than
    /// the interval. By default three intervals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = text_or_number)]
    #[x_kube(validation = Rule::new(r"type(self) == string && (self.endsWith('s') || self.endsWith('m') || self.endsWith('h'))
        && !self.matches(r'[^\dhms]') && duration(self) >= duration('500ms') && duration(self) <= duration('24h')")
        .message("heartbeat ttl: give a whole number with its unit, from 500ms to 24h, such as 3s or 1m"))]
    pub ttl: Option<ApiDuration>,
    /// In place of ttl: a phi-accrual detector, which learns how regular the beats of each endpoint are. `phi: {}` has every
    /// default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phi: Option<PhiSpec>,
}

/// A phi-accrual detector (Hayashibara et al., 2004): an endpoint is Critical once its silence is less likely than
/// 10^-threshold, by the mean and the deviation of the times between its last beats.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(r"!has(self.acceptablePause) || !(type(self.acceptablePause) == string && !self.acceptablePause.contains(' ')
        && (self.acceptablePause.endsWith('s') || self.acceptablePause.endsWith('m') || self.acceptablePause.endsWith('h')))
        || !has(self.hardDeadline) || !(type(self.hardDeadline) == string && !self.hardDeadline.contains(' ')
        && (self.hardDeadline.endsWith('s') || self.hardDeadline.endsWith('m') || self.hardDeadline.endsWith('h')))
        || duration(self.acceptablePause) < duration(self.hardDeadline)")
        .message("heartbeat phi: hardDeadline must be longer than acceptablePause; lengthen it, or leave it out")
        .field_path(".hardDeadline"),
)]
pub struct PhiSpec {
    /// How unlikely the silence must be: 8 means one false conviction in 10^8 beats, if they are as they have been. From 1 to
    /// 16, by default 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = any_integer)]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 16")
        .message("heartbeat phi threshold: give 1 to 16, such as 8; a higher one waits longer and is wrong less often"))]
    pub threshold: Option<u8>,
    /// How many of the last times between beats count. From 10 to 200, by default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = any_integer)]
    #[x_kube(validation = Rule::new("self >= 10 && self <= 200")
        .message("heartbeat phi window: give 10 to 200 beats, such as 100"))]
    pub window: Option<u16>,
    /// A duration such as 100ms: the deviation counts as this long at least, however regular the beats are. From 1ms to 1m, by
    /// default a tenth of the interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = text_or_number)]
    #[x_kube(validation = Rule::new(r"type(self) == string && (self.endsWith('s') || self.endsWith('m') || self.endsWith('h'))
        && !self.matches(r'[^\dhms]') && duration(self) >= duration('1ms') && duration(self) <= duration('1m')")
        .message("heartbeat phi minDeviation: give a whole number with its unit, from 1ms to 1m, such as 100ms"))]
    pub min_deviation: Option<ApiDuration>,
    /// A duration such as 2s: how much longer than usual a silence may be before it is held against the endpoint, such as for
    /// lost beats or a collection of garbage. From 0s to 1h, by default two intervals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = text_or_number)]
    #[x_kube(validation = Rule::new(r"type(self) == string && (self.endsWith('s') || self.endsWith('m') || self.endsWith('h'))
        && !self.matches(r'[^\dhms]') && duration(self) <= duration('1h')")
        .message("heartbeat phi acceptablePause: give a whole number with its unit, from 0s to 1h, such as 2s or 500ms"))]
    pub acceptable_pause: Option<ApiDuration>,
    /// A duration such as 10s: an endpoint that has been silent for this long is Critical, whatever was learned. From 500ms to
    /// 24h, and longer than the interval and than acceptablePause. By default acceptablePause and eight intervals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = text_or_number)]
    #[x_kube(validation = Rule::new(r"type(self) == string && (self.endsWith('s') || self.endsWith('m') || self.endsWith('h'))
        && !self.matches(r'[^\dhms]') && duration(self) >= duration('500ms') && duration(self) <= duration('24h')")
        .message("heartbeat phi hardDeadline: give a whole number with its unit, from 500ms to 24h, such as 10s"))]
    pub hard_deadline: Option<ApiDuration>,
}
