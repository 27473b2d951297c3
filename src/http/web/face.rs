//! What every request of a person passes: its language and theme are found out, a form becomes a request of the API, and a
//! problem becomes a page. What programs ask for passes untouched.

use axum::{
    body::{Body, HttpBody as _},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use flate2::Compression;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    assets,
    form::{self, Form},
    shown::{self, ProblemPage},
    view::{Look, Theme, View},
};
use crate::{
    domain::text::Language,
    http::{
        api::{cookie, identity, problem::Problem, query, state::Api, tag, text, word::Word},
        peer::Peer,
    },
};

/// How long a browser keeps what was chosen, in seconds: a year.
const KEPT: u32 = 31_536_000;

/// Parameters that say how a page looks, and not what it shows.
const OF_LOOK: [&str; 2] = ["lang", "theme"];

/// The layer.
pub(super) async fn face(State(api): State<Api>, mut request: Request, inside: Next) -> Response {
    let path = request.uri().path().to_owned();
    if !is_of_a_person(&path) {
        return inside.run(request).await;
    }
    // The tag and the length of a page are those of its bytes, which are made for HEAD, too.
    let is_head = *request.method() == Method::HEAD;
    if is_head {
        *request.method_mut() = Method::GET;
    }
    let (look, chosen) = look(&request);
    let is_told = look.done.is_some();
    let takes = Takes::of(request.headers());
    let who = Who { headers: request.headers().clone(), peer: request.extensions().get::<Peer>().copied() };
    let form = if let Some(target) = path.strip_prefix(form::FORMS) {
        match form::translated(request, target, &api).await {
            Ok((translated, form)) => {
                request = translated;
                Some(form)
            }
            Err(problem) => return answer(&api, (look, &who), (None, takes), problem.into_response()).await,
        }
    } else {
        without_look(&mut request);
        None
    };
    request.extensions_mut().insert(look.clone());
    let mut response = answer(&api, (look, &who), (form, takes), inside.run(request).await).await;
    for (name, word) in chosen {
        let base = if api.http.base_path.is_empty() { "/" } else { &api.http.base_path };
        let cookie = format!("{name}={word}; Path={base}; Max-Age={KEPT}; SameSite=Lax");
        response.headers_mut().extend(HeaderValue::try_from(cookie).map(|cookie| (header::SET_COOKIE, cookie)));
    }
    if is_told {
        let told = cookie::tell_done("", &api.http.base_path, &who.headers);
        response.headers_mut().extend(told.map(|cookie| (header::SET_COOKIE, cookie)));
    }
    if is_head { without_body(response) } else { response }
}

fn without_body(mut response: Response) -> Response {
    if let Some(length) = response.body().size_hint().exact() {
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    *response.body_mut() = Body::empty();
    response
}

/// Who sent a request, as its headers say.
#[derive(Debug)]
struct Who {
    headers: HeaderMap,
    peer: Option<Peer>,
}

impl Who {
    /// What a page after the request knows; after a form, it stands where the form stood.
    async fn view(&self, api: &Api, look: Look, form: Option<&Form>) -> View {
        let look = match form {
            Some(form) => look.at(&form.back),
            None => look,
        };
        View::new(api, look, identity::caller(api, &self.headers, self.peer).await)
    }
}

/// What a browser reads. Programs that ask for no page are told of problems as the API tells them.
#[derive(Debug, Clone, Copy)]
struct Takes {
    html: bool,
    gzip: bool,
}

impl Takes {
    fn of(headers: &HeaderMap) -> Self {
        let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        Self { html: accepts.contains("text/html"), gzip: assets::takes_gzip(headers) }
    }
}

/// Whether an address is of a page: everything is but what the API, monitoring systems and pages load.
fn is_of_a_person(path: &str) -> bool {
    let is_other = ["/api/", "/assets/"].iter().any(|prefix| path.starts_with(prefix));
    !is_other && !["/livez", "/readyz", "/metrics", "/favicon.ico"].contains(&path)
}

/// How the page is to look, and what of that was chosen just now.
fn look(request: &Request) -> (Look, Vec<(&'static str, &'static str)>) {
    let pairs = query::pairs(request.uri().query().unwrap_or_default());
    let of = |name: &str| pairs.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str());
    let (headers, mut chosen) = (request.headers(), Vec::new());
    let language_of = |word: &str| [Language::En, Language::Zh].into_iter().find(|language| language.as_str() == word);
    let asked = of("lang").and_then(language_of);
    chosen.extend(asked.map(|language| ("lang", language.as_str())));
    let kept = || kept_word(headers, "lang").and_then(language_of);
    let language = asked.or_else(kept).unwrap_or_else(|| text::language(headers));
    let asked = of("theme").and_then(Theme::from_word);
    chosen.extend(asked.map(|theme| ("theme", theme.as_str())));
    let theme = asked.or_else(|| kept_word(headers, "theme").and_then(Theme::from_word)).unwrap_or_default();
    let look = Look {
        language,
        theme,
        done: cookie::done(headers).filter(|word| !word.is_empty() && is_navigation(headers)).map(str::to_owned),
        path: request.uri().path().to_owned(),
        query: query_without_look(request.uri()),
    };
    (look, chosen)
}

/// Whether a browser is on its way to a page, and not a script that looks whether it has changed.
fn is_navigation(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-mode").is_none_or(|mode| mode == "navigate")
}

fn kept_word<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(given, _)| *given == name).map(|(_, value)| value)
}

fn query_without_look(uri: &Uri) -> String {
    // A form sends fields that nobody filled in, too.
    let is_left_out = |name: &str, value: &str| value.is_empty() || OF_LOOK.contains(&name);
    query::without(uri.query().unwrap_or_default(), is_left_out)
}

fn without_look(request: &mut Request) {
    let query = query_without_look(request.uri());
    let joint = if query.is_empty() { "" } else { "?" };
    if let Ok(uri) = Uri::try_from(format!("{}{joint}{query}", request.uri().path())) {
        *request.uri_mut() = uri;
    }
}

/// An answer as a person gets it.
async fn answer(
    api: &Api,
    (look, who): (Look, &Who),
    (form, takes): (Option<Form>, Takes),
    response: Response,
) -> Response {
    if let Some(form) = form.as_ref().filter(|form| form.is_by_script) {
        return form::told_to_script(api, form, &who.headers, response);
    }
    let is_told_as_page = takes.html || form.is_some();
    let problem = response.extensions().get::<Problem>().cloned().or_else(|| nothing_here(&response));
    if let Some(problem) = problem.filter(|_| is_told_as_page) {
        let view = who.view(api, look, form.as_ref()).await;
        return problem_page(&view, form.as_ref(), &problem);
    }
    match form {
        Some(form) => {
            let tell = (api.http.base_path.as_str(), &who.headers);
            shown::after(&who.view(api, look, Some(&form)).await, form, tell, response).await
        }
        None => tagged(response, takes.gzip).await,
    }
}

fn nothing_here(response: &Response) -> Option<Problem> {
    match response.status() {
        StatusCode::NOT_FOUND => Some(Problem::of(Word::NotFound)),
        StatusCode::METHOD_NOT_ALLOWED => Some(Problem::of(Word::Method)),
        _ => None,
    }
}

/// A problem as a page; who has not signed in is asked to.
fn problem_page(view: &View, form: Option<&Form>, problem: &Problem) -> Response {
    let is_signing_in = form.is_some_and(|form| form.target == "session");
    if problem.word() == Word::Unauthenticated && !is_signing_in {
        let back = form.map_or_else(|| view.here(), |form| form.back.clone());
        let to = format!("{}?next={}", view.url("/sign-in"), query::encoded(&back));
        return (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response();
    }
    let back = form.map(|form| form.back.clone());
    let mut response = view.page(&ProblemPage::of(view, problem, back));
    *response.status_mut() = problem.status();
    response
}

/// A page with its tag, so that one that has not changed is not sent again.
async fn tagged(response: Response, takes_gzip: bool) -> Response {
    let is_page =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if !is_page || response.status() != StatusCode::OK {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // It was made in one piece.
    let Ok(bytes) = axum::body::to_bytes(body, usize::MAX).await else {
        return Problem::of(Word::Defect).into_response();
    };
    parts.headers.insert(header::ETAG, tag::quoted(&[xxh3_64(&bytes)]));
    if !takes_gzip {
        return Response::from_parts(parts, bytes.into());
    }
    parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, assets::gzip(&bytes, Compression::fast()).into())
}
