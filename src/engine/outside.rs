//! Who answers a guest's request to the outside, when it is not the network.

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};

use super::Body;

/// Who answers a request to a host that `allow_hosts` names.
#[derive(Clone, Debug)]
pub enum OutsideRoute {
    /// With `record` the host gets to know the whole answer.
    Network { record: bool },
    /// A stand-in for the host, over plain HTTP; its address needs nobody's leave.
    To(http::uri::Authority),
    /// This, at once.
    Answer(OutsideAnswer),
    /// Nobody: why, for the function's author.
    Refused(String),
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq)]
pub struct OutsideAnswer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl OutsideAnswer {
    pub(super) fn into_response(self) -> Response<Body> {
        let body = Full::new(self.body).map_err(|never| match never {}).boxed_unsync();
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}
