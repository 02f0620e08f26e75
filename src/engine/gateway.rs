//! Requests as events of API Gateway: format 2.0, and 1.0 for those who ask for it.
//!
//! Fields as AWS documents them under "Working with AWS Lambda proxy integrations for HTTP APIs".

use http::{HeaderMap, HeaderName, header};
use serde_json::{Map, Value, json};

use super::host::Run;
use super::shape::{ACCOUNT, collect_bytes, text_or_base64, time_of};
use super::{Failure, HttpEvent};

/// A request as a handler gets it.
///
/// # Errors
/// When the body cannot be read or is too long.
pub(super) async fn event(event: HttpEvent, run: &Run) -> Result<Value, Failure> {
    if run.settings.payload_v1 {
        first(event, run).await
    } else {
        second(event, run).await
    }
}

/// Format 1.0: null where there is nothing, and each value of what is repeated.
async fn first(event: HttpEvent, run: &Run) -> Result<Value, Failure> {
    let HttpEvent {
        request,
        peer,
        route_key,
        path_parameters,
    } = event;
    let (parts, body) = request.into_parts();
    let body = collect_bytes(body, run.settings.body_bytes_max).await?;
    let headers = parts.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    });
    let (headers, all_headers) = last_and_all(headers);
    let query = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned();
    let (query, all_query) = last_and_all(query);
    let path_parameters: Map<String, Value> = path_parameters
        .into_iter()
        .map(|(name, value)| (name, value.into()))
        .collect();
    let header = |name: HeaderName| headers.get(name.as_str()).cloned().unwrap_or_default();
    let host = header(header::HOST);
    let prefix = host
        .as_str()
        .and_then(|host| host.split('.').next())
        .unwrap_or_default();
    let now = time_of(run.clock.arrival());
    let resource = route_key.split_once(' ').map_or("/{proxy+}", |(_, path)| path);
    let (text, encoded) = text_or_base64(&body);
    Ok(json!({
        "version": "1.0",
        "resource": resource,
        "path": parts.uri.path(),
        "httpMethod": parts.method.as_str(),
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": "emu",
            "domainName": host,
            "domainPrefix": prefix,
            "extendedRequestId": run.id,
            "httpMethod": parts.method.as_str(),
            "identity": { "sourceIp": peer.to_string(), "userAgent": header(header::USER_AGENT) },
            "path": parts.uri.path(),
            "protocol": format!("{:?}", parts.version),
            "requestId": run.id,
            "requestTime": now.format("%d/%b/%Y:%H:%M:%S %z").to_string(),
            "requestTimeEpoch": now.timestamp_millis(),
            "resourceId": &*route_key,
            "resourcePath": resource,
            "stage": "$default",
        },
        "headers": headers,
        "multiValueHeaders": all_headers,
        "queryStringParameters": or_null(query),
        "multiValueQueryStringParameters": or_null(all_query),
        "pathParameters": or_null(path_parameters),
        "stageVariables": null,
        "body": if body.is_empty() { Value::Null } else { text.into() },
        "isBase64Encoded": encoded,
    }))
}

fn or_null(map: Map<String, Value>) -> Value {
    if map.is_empty() { Value::Null } else { map.into() }
}

/// The last value of each name, and all of them.
fn last_and_all(pairs: impl Iterator<Item = (String, String)>) -> (Map<String, Value>, Map<String, Value>) {
    let (mut last, mut all) = (Map::new(), Map::new());
    for (name, value) in pairs {
        let values = all.entry(name.clone()).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(values) = values {
            values.push(value.clone().into());
        }
        last.insert(name, value.into());
    }
    (last, all)
}

async fn second(event: HttpEvent, run: &Run) -> Result<Value, Failure> {
    let HttpEvent {
        request,
        peer,
        route_key,
        path_parameters,
    } = event;
    let (parts, body) = request.into_parts();
    let body = collect_bytes(body, run.settings.body_bytes_max).await?;
    let (headers, cookies) = headers_and_cookies(&parts.headers);
    let text = |name: HeaderName| {
        headers
            .get(name.as_str())
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let query = parts.uri.query().unwrap_or_default();
    let query_parameters = query_parameters(query);
    let now = time_of(run.clock.arrival());
    let mut value = json!({
        "version": "2.0",
        "routeKey": &*route_key,
        "rawPath": parts.uri.path(),
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": "emu",
            "domainName": text(header::HOST),
            "domainPrefix": text(header::HOST).split('.').next().unwrap_or_default(),
            "http": {
                "method": parts.method.as_str(),
                "path": parts.uri.path(),
                "protocol": format!("{:?}", parts.version),
                "sourceIp": peer.to_string(),
                "userAgent": text(header::USER_AGENT),
            },
            "requestId": run.id,
            "routeKey": &*route_key,
            "stage": "$default",
            "time": now.format("%d/%b/%Y:%H:%M:%S %z").to_string(),
            "timeEpoch": now.timestamp_millis(),
        },
        "isBase64Encoded": false,
    });
    if !cookies.is_empty() {
        value["cookies"] = cookies.into();
    }
    if !query_parameters.is_empty() {
        value["queryStringParameters"] = query_parameters.into();
    }
    if !path_parameters.is_empty() {
        value["pathParameters"] = path_parameters
            .into_iter()
            .map(|(name, value)| (name, Value::from(value)))
            .collect();
    }
    if !body.is_empty() {
        let (text, encoded) = text_or_base64(&body);
        value["body"] = text.into();
        value["isBase64Encoded"] = encoded.into();
    }
    Ok(value)
}

/// Repeated headers are joined by commas; cookies go by themselves.
fn headers_and_cookies(from: &HeaderMap) -> (Map<String, Value>, Vec<String>) {
    let mut headers = Map::new();
    let mut cookies = Vec::new();
    for name in from.keys() {
        let values = from
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()));
        if name == header::COOKIE {
            cookies.extend(values.flat_map(|value| value.split("; ").map(str::to_owned).collect::<Vec<_>>()));
        } else {
            headers.insert(name.to_string(), values.collect::<Vec<_>>().join(",").into());
        }
    }
    (headers, cookies)
}

/// Repeated parameters are joined by commas.
fn query_parameters(query: &str) -> Map<String, Value> {
    let mut parameters: Map<String, Value> = Map::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match parameters.get_mut(&*name) {
            Some(Value::String(joined)) => {
                joined.push(',');
                joined.push_str(&value);
            }
            _ => {
                parameters.insert(name.into_owned(), value.into_owned().into());
            }
        }
    }
    parameters
}
