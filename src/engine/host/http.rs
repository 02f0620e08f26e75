//! The hooks of `wasi:http`: outgoing requests take emu's own way out.

use std::sync::{Arc, LazyLock};

use ::http::HeaderName;
use http_body_util::BodyExt;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks,
};

use super::{Run, outbound};
use crate::engine::{Body, BodyError};

/// Bytes of one write to an outgoing body, and how many writes wait for a slow reader.
const CHUNK_BYTES_MAX: usize = 256 << 10;
const CHUNKS_MAX: usize = 2;

pub(super) struct Hooks {
    pub(super) run: Arc<Run>,
}

type IoResult = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = Box<dyn Future<Output = Result<(::http::Response<WasiBody>, IoResult), Error>> + Send>;

impl WasiHttpHooks for Hooks {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        DEFAULT_FORBIDDEN_HEADERS.contains(name)
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        static FILTER: LazyLock<ForbiddenHeaderFilter> =
            LazyLock::new(|| Arc::new(|name| DEFAULT_FORBIDDEN_HEADERS.contains(name)));
        FILTER.clone()
    }

    fn send_request(
        &mut self,
        request: ::http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _response_result: IoResult,
    ) -> Sent {
        let run = self.run.clone();
        let request = request.map(from_wasi);
        Box::new(async move {
            let options = options.unwrap_or_default();
            let sent = outbound::send_within(run, request, options.connect_timeout);
            let response = match options.first_byte_timeout {
                Some(limit) => tokio::time::timeout(limit, sent)
                    .await
                    .map_err(|_| Error::HttpResponseTimeout)?,
                None => sent.await,
            };
            let response = response.map_err(|error| error.into_wasi())?;
            Ok((response.map(to_wasi), Box::new(async { Ok(()) }) as IoResult))
        })
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        CHUNKS_MAX
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK_BYTES_MAX
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK_BYTES_MAX
    }
}

/// A guest's body on its way out.
pub(crate) fn from_wasi(body: WasiBody) -> Body {
    body.map_err(|error| BodyError(error.to_string())).boxed_unsync()
}

/// A body on its way to a guest.
pub(crate) fn to_wasi(body: Body) -> WasiBody {
    body.map_err(|error| Error::InternalError(Some(error.0))).boxed_unsync()
}
