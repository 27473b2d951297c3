//! How pages answer browsers: the same to whoever looks before they ask, whatever a name is written like, and with no word of
//! what nobody did.

use reqwest::header::HeaderName;

use super::*;

impl House {
    async fn bare_page(&self, method: Method, path: &str, cookie: &str) -> Said {
        let asked = self.ask(method, path).header("Cookie", cookie).header("Accept", "text/html");
        Said::of(asked.header("Accept-Encoding", "identity").send().await.unwrap()).await
    }
}

/// The cookies that an answer sets, as a browser sends them back.
fn cookies(said: &Said) -> Vec<String> {
    let set = said.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap());
    set.filter(|cookie| !cookie.contains("Max-Age=0"))
        .map(|cookie| cookie.split(';').next().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn head_has_the_headers_of_get_and_no_body() {
    let house = House::open("").await;
    house.populated().await;
    let cookie = house.seat("vera", Role::Viewer).await;
    let assets = house.page("/accounts", &cookie).await.text;
    let style = links(&assets).into_iter().find(|link| link.contains("style.css")).unwrap();
    // Ages and plans move on: these pages have none, and are the same twice.
    let still = "/programs?program=wx00000000000000ff";
    for path in
        [still, "/conflicts?lang=zh&account=wx00000000000000ff", "/nowhere", "/search?q=wx00000000000000c1", &style]
    {
        let (get, head) =
            (house.bare_page(Method::GET, path, &cookie).await, house.bare_page(Method::HEAD, path, &cookie).await);
        assert_eq!((head.status, head.text.as_str()), (get.status, ""), "{path}");
        for name in get.headers.keys().map(HeaderName::as_str).filter(|name| !["x-request-id", "date"].contains(name)) {
            assert_eq!(head.header(name), get.header(name), "{name} of {path}");
        }
        assert_eq!(
            get.header("etag").is_empty(),
            ["/nowhere", "/search?q=wx00000000000000c1", style.as_str()].contains(&path)
        );
    }
    let tag = house.bare_page(Method::HEAD, still, &cookie).await.header("etag").to_owned();
    let known = house.ask(Method::HEAD, still).header("Cookie", &cookie).header("If-None-Match", tag);
    assert_eq!(known.send().await.unwrap().status(), StatusCode::NOT_MODIFIED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_the_same_however_it_is_written() {
    let house = House::open("").await;
    house.populated().await;
    let cookie = house.seat("vera", Role::Viewer).await;
    for path in
        ["/accounts?%6Cang=zh", "/accounts?l%61ng=zh&tr%6Fuble=token", "/accounts?%74heme=dark&lang=zh&%6Cabel="]
    {
        let said = house.page(path, &cookie).await;
        assert_eq!(said.status, StatusCode::OK, "{path}: {}", said.text);
        assert!(said.text.contains("<html lang=\"zh-CN\""), "{path}");
        let inner = links(&said.text).into_iter().find(|link| link.contains("lang=en")).unwrap();
        assert_eq!(
            (inner.matches("ang=").count(), inner.contains('%')),
            (1, path.contains("tr%6F")),
            "{path}: {inner}"
        );
    }
    for _ in 0..3 {
        house
            .request(
                &house.operator().await,
                &format!("wx00000000000{:05}", house.number("SELECT count(*) FROM request").await),
            )
            .await;
    }
    let operator = house.operator().await;
    let first = house.get("/api/v1/requests?%6Cimit=2", &operator).await;
    let next = first.json()["next"].as_str().unwrap().to_owned();
    let second = house.get(&format!("/api/v1/requests?limit=1&%61fter={next}"), &operator).await;
    let link = second.header("link");
    assert!(!link.contains("%61fter") && link.matches("after=").count() == 1, "{link}");
    let probe = Said::of(house.ask(Method::GET, "/livez?v%65rbose").send().await.unwrap()).await;
    assert_eq!(probe.status, StatusCode::UNAUTHORIZED, "what is verbose is for those who may read: {probe:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_is_told_once_to_whoever_did_it() {
    let house = House::open("").await;
    house.populated().await;
    let cookie = house.seat("olga", Role::Operator).await;
    let path = format!("/accounts/{CALM}");
    let forged = house.page(&format!("{path}?done=resume"), &cookie).await;
    assert!(!forged.text.contains("Resumed."), "{}", forged.text);
    assert_eq!(forged.status, StatusCode::UNPROCESSABLE_ENTITY, "there is no such parameter");

    let done = house.form(&format!("/do/accounts/{CALM}/resume"), &cookie, &[("_back", &path)]).await;
    let kept = cookies(&done);
    assert!(done.header("location") == path && kept.len() == 1 && kept[0].ends_with("=resume"), "{done:?}");
    let both = format!("{cookie}; {}", kept[0]);
    let looked = house.ask(Method::GET, &path).header("Cookie", &both).header("Sec-Fetch-Mode", "cors");
    let looked = Said::of(looked.header("Accept", "text/html").send().await.unwrap()).await;
    assert!(!looked.text.contains("Resumed.") && looked.header("set-cookie").is_empty(), "a script looks: {looked:?}");
    let page = house.page(&path, &both).await;
    assert!(page.text.contains("role=\"status\">Resumed."), "{}", page.text);
    let taken = page.header("set-cookie");
    assert!(taken.starts_with(kept[0].split('=').next().unwrap()) && taken.contains("Max-Age=0"), "{taken}");

    let script = house.ask(Method::POST, &format!("/do/accounts/{CALM}/suspend")).header("Cookie", &cookie);
    let script = script.header("Sec-Fetch-Site", "same-origin").header("Accept", "application/json");
    let script = script.header("Content-Type", "application/x-www-form-urlencoded").body("reason=sold");
    let said = Said::of(script.send().await.unwrap()).await;
    assert!(said.status == StatusCode::OK && cookies(&said)[0].ends_with("=suspend"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_of_one_host_leave_each_others_sessions() {
    let (one, other) = (House::open("").await, House::open("").await);
    let (first, second) = (one.seat("vera", Role::Viewer).await, other.seat("vera", Role::Viewer).await);
    let name = |cookie: &str| cookie.split('=').next().unwrap().to_owned();
    assert_ne!(name(&first), name(&second), "a browser would keep one of them");
    let all = format!("{first}; {second}");
    for house in [&one, &other] {
        assert_eq!(house.page("/accounts", &all).await.status, StatusCode::OK);
    }
    let out = Said::of(other.ask(Method::DELETE, "/api/v1/session").header("Cookie", &all).send().await.unwrap()).await;
    let cleared = out.headers.get_all("set-cookie").iter().map(|cookie| name(cookie.to_str().unwrap()));
    assert!(
        out.status == StatusCode::NO_CONTENT && cleared.into_iter().all(|cleared| cleared != name(&first)),
        "{out:?}"
    );
    assert_eq!(other.page("/accounts", &all).await.status, StatusCode::SEE_OTHER, "signed out here");
    assert_eq!(one.page("/accounts", &all).await.status, StatusCode::OK, "and not there");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_opened_has_a_name_of_its_own() {
    let house = House::open("").await;
    house.populated().await;
    let cookie = house.seat("olga", Role::Operator).await;
    for path in PAGES.into_iter().chain(["/", "/requests", "/alerts", "/me"]) {
        let page = house.page(path, &cookie).await.text;
        let (_, main) = page.split_once("<main").unwrap();
        let opened = main.split("<details").skip(1).map(|behind| behind.split_once('>').unwrap().0);
        let names: Vec<&str> = opened
            .map(|attributes| attributes.split_once("id=\"").unwrap_or_else(|| panic!("{path}: {attributes}")).1)
            .map(|behind| behind.split_once('"').unwrap().0)
            .collect();
        for name in &names {
            assert_eq!(page.matches(&format!("id=\"{name}\"")).count(), 1, "{name} of {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_carries_its_filters_on_each_once_and_offers_what_can_be_done() {
    let house = House::open("").await;
    let operator = house.operator().await;
    for number in 0..3 {
        let wish = json!({ "kind": "link", "account": ACCOUNT, "program": format!("wx{number:016}"),
                           "labels": { "shop": "12", "city": "上海" } });
        assert_eq!(house.post("/api/v1/requests", &operator, wish).await.status, StatusCode::CREATED);
    }
    let cookie = house.seat("olga", Role::Operator).await;
    let label = "label=shop%3D12&label=city%3D%E4%B8%8A%E6%B5%B7";
    let list = house.page(&format!("/requests?{label}&label=shop%3D12&open=true&limit=2"), &cookie).await.text;
    for (field, times) in [
        ("name=\"filter.label\" value=\"shop=12\"", 1),
        ("name=\"filter.label\" value=\"city=上海\"", 1),
        ("name=\"filter.open\" value=\"true\"", 1),
        ("name=\"filter.limit\"", 0),
        // The field of the form has the first, and the others go with it.
        ("<input type=\"hidden\" name=\"label\" value=\"city=上海\">", 1),
        ("name=\"action\" value=\"cancel\"", 1),
        ("name=\"action\" value=\"retry\"", 0),
    ] {
        assert_eq!(list.matches(field).count(), times, "{field}: {list}");
    }
    let next = links(&list).into_iter().find(|link| link.contains("after=")).unwrap();
    assert_eq!((next.matches("shop%3D12").count(), next.matches("limit=2").count()), (1, 1), "{next}");
    let rest = house.page(&next, &cookie).await.text;
    assert_eq!((rest.matches("<tr><td").count(), rest.contains("rel=\"next\"")), (1, false), "{rest}");
    house.sql("UPDATE request SET state = 'cancelled', finished_at = since").await;
    let ended = house.page("/requests?finished=true", &cookie).await.text;
    assert!(ended.contains("value=\"retry\"") && !ended.contains("value=\"cancel\""), "{ended}");
    let many: Vec<String> = (0..21).map(|number| format!("label=a%3D{number}")).collect();
    let refused = house.page(&format!("/requests?{}", many.join("&")), &cookie).await;
    assert!(
        refused.status == StatusCode::UNPROCESSABLE_ENTITY && refused.text.contains("at most 20 labels"),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_leads_to_what_it_names() {
    let house = House::open("").await;
    house.populated().await;
    let operator = house.operator().await;
    let id = house.request(&operator, "wx00000000000000d7").await;
    house.sql("UPDATE request SET key = 'order 7' WHERE program = 'wx00000000000000d7'").await;
    let cookie = house.seat("vera", Role::Viewer).await;
    let ending = &id[id.len() - 8..];
    let (whole, key) = (format!("/requests/{id}"), "order%207");
    for (asked, to) in [
        (id.to_uppercase().as_str(), whole.as_str()),
        (ending, &whole),
        (&format!("%E2%80%A6{ending}"), &whole),
        (key, &whole),
        (REFUSED, "/accounts/wx00000000000000c1"),
        ("wx00000000000000d7", "/requests?program=wx00000000000000d7"),
        ("shop%3D1%202", "/requests?label=shop%3D1%202"),
        ("+", "/requests"),
    ] {
        let said = house.page(&format!("/search?q={asked}"), &cookie).await;
        assert_eq!((said.status, said.header("location")), (StatusCode::SEE_OTHER, to), "{asked}");
    }
    let nothing = house.page("/search?q=%3Cb%3E", &cookie).await;
    assert!(nothing.status == StatusCode::UNPROCESSABLE_ENTITY && !nothing.text.contains("<b>"), "{nothing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_problem_is_told_within_the_page_of_whoever_met_it() {
    let house = House::open("").await;
    house.populated().await;
    let cookie = house.seat("olga", Role::Operator).await;
    let lost = house.page("/nowhere", &cookie).await;
    assert!(lost.status == StatusCode::NOT_FOUND && lost.text.contains("class=\"top\""), "{lost:?}");
    let back = format!("/accounts/{CALM}?lang=en");
    let stale =
        house.form(&format!("/do/accounts/{CALM}/resume"), &cookie, &[("_back", &back), ("_tag", "\"0\"")]).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED, "{stale:?}");
    assert!(links(&stale.text).contains(&back) && stale.text.contains("class=\"top\""), "{}", stale.text);
    let stranger = house.page("/accounts?trouble=token", "").await;
    assert_eq!(stranger.header("location"), "/sign-in?next=%2Faccounts%3Ftrouble%3Dtoken");
}
