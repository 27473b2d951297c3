//! A day in one message: what needs a person first, then what waits and how long.

use super::{Language, Report};
use crate::domain::{
    alert_rules::Stage,
    digest::{AGES, Count, Digest},
};

/// The heads of the table's columns.
#[must_use]
pub fn columns(language: Language) -> [&'static str; 2 + AGES.len()] {
    let [first, second, third, fourth] = AGES.map(|(_, english, chinese)| match language {
        Language::En => english,
        Language::Zh => chinese,
    });
    match language {
        Language::En => ["what", "total", first, second, third, fourth],
        Language::Zh => ["项目", "合计", first, second, third, fourth],
    }
}

impl Digest {
    /// The digest in words.
    #[must_use]
    pub fn words(&self, language: Language) -> Report {
        let say = Say(language);
        Report {
            title: self.title(say),
            lead: self.lead(say),
            columns: columns(language).map(str::to_owned).to_vec(),
            rows: self.rows(say),
            total: usize::try_from(self.waiting()).unwrap_or(usize::MAX),
            hint: "amplinkd report --digest".to_owned(),
        }
    }

    fn title(&self, say: Say) -> String {
        let (linked, waiting) = (self.ended_as(&["linked"]), self.waiting());
        let otherwise =
            self.ended.iter().map(|count| count.count).sum::<u64>() - self.ended_as(&["linked", "unlinked"]);
        say.0.pick(
            format!(
                "{linked} linked and {otherwise} ended otherwise since yesterday; {waiting} wait, {} too long",
                self.stuck
            ),
            format!("昨日以来关联成功{linked}个，未成功{otherwise}个；等待中{waiting}个，其中卡住{}个", self.stuck),
        )
    }

    /// What needs a person, the worst first.
    fn lead(&self, say: Say) -> String {
        let conflicts: u64 = self.conflicts.iter().map(|count| count.count).sum();
        let wants = [
            (self.stuck, say.of("waiting too long", "等待过久")),
            (self.unread, say.of("waiting with accounts that are not read", "因公众号未能读取而状态不明")),
            (self.vanished, say.of("links vanished unasked", "未经请求而消失的关联")),
            (self.dead, say.of("messages not delivered", "未能送达的消息")),
            (self.ended_as(&["failed"]), say.of("failed", "失败")),
            (self.ended_as(&["rejected"]), say.of("refused", "被拒绝")),
            (self.ended_as(&["lapsed"]), say.of("left unanswered", "未获答复")),
            (conflicts, say.of("open conflicts", "未解决的冲突")),
        ];
        let wants: Vec<String> =
            wants.iter().filter(|(count, _)| *count > 0).map(|(count, what)| say.counted(*count, what)).collect();
        match (wants.is_empty(), say.0) {
            (true, Language::Zh) => "没有需要处理的事项。".to_owned(),
            (true, Language::En) => "Nothing needs a person.".to_owned(),
            (false, Language::Zh) => format!("需要处理：{}。", wants.join("、")),
            (false, Language::En) => format!("To look at: {}.", wants.join(", ")),
        }
    }

    fn rows(&self, say: Say) -> Vec<Vec<String>> {
        let waits = self.waiting.iter().map(|waiting| {
            let ages = waiting.by_age.iter().map(|count| shown(*count));
            [say.stage(waiting.stage).to_owned(), waiting.total().to_string()].into_iter().chain(ages).collect()
        });
        let news = say.of("since yesterday", "昨日以来");
        let ended = self.ended.iter().map(|one| (format!("{}, {news}", say.end(&one.word)), one.count));
        let vanished = (format!("{}, {news}", say.of("vanished unasked", "未经请求而消失")), self.vanished);
        let held = [
            (say.of("waits, its account's list is not read", "公众号列表未能读取").to_owned(), self.unread),
            (say.of("waits for a monthly quota", "等待每月额度").to_owned(), self.deferred),
            (say.of("waiting too long", "等待过久").to_owned(), self.stuck),
        ];
        let of = |all: &[Count], what: &str| -> Vec<(String, u64)> {
            all.iter().map(|one| (format!("{what} {}", one.word), one.count)).collect()
        };
        let gates = of(&self.gates, say.of("calls held back:", "暂停调用："));
        let conflicts = of(&self.conflicts, say.of("open conflict:", "未解决的冲突："));
        let firing = of(&self.firing, say.of("alert:", "告警："));
        let dead = (say.of("messages given up", "放弃发送的消息").to_owned(), self.dead);
        let counted = ended.chain([vanished]).chain(held).chain(gates).chain(conflicts).chain(firing).chain([dead]);
        let counted = counted.filter(|(_, count)| *count > 0).map(|(what, count)| {
            let mut row = vec![what, count.to_string()];
            row.resize(2 + AGES.len(), String::new());
            row
        });
        waits.chain(counted).collect()
    }
}

/// Nothing is easier to overlook than a nought.
fn shown(count: u64) -> String {
    if count == 0 { String::new() } else { count.to_string() }
}

/// The language that it is said in.
#[derive(Debug, Clone, Copy)]
struct Say(Language);

impl Say {
    fn of(self, english: &'static str, chinese: &'static str) -> &'static str {
        self.0.pick(english, chinese)
    }

    fn counted(self, count: u64, what: &str) -> String {
        self.0.pick(format!("{count} {what}"), format!("{what}{count}个"))
    }

    fn stage(self, stage: Stage) -> &'static str {
        match stage {
            Stage::Requested => self.of("not called yet", "尚未发起"),
            Stage::Initiated => self.of("called, not listed yet", "已发起，尚未列出"),
            Stage::AccountAdmin => self.of("waits for the account's administrator", "等待公众号管理员"),
            Stage::ProgramAdmin => self.of("waits for the program's administrator", "等待小程序管理员"),
            Stage::Unlink => self.of("unlink waits for the account's administrator", "解除关联等待公众号管理员"),
        }
    }

    fn end(self, word: &str) -> &str {
        match word {
            "linked" => self.of("linked", "关联成功"),
            "unlinked" => self.of("unlinked as asked", "已按请求解除关联"),
            "rejected" => self.of("refused by the program's administrator", "小程序管理员拒绝"),
            "failed" => self.of("failed", "失败"),
            "lapsed" => self.of("gone from the list", "已从列表中消失"),
            "cancelled" => self.of("cancelled", "已取消"),
            word => word,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::digest::Waiting;

    fn count(word: &str, count: u64) -> Count {
        Count { word: word.to_owned(), count }
    }

    fn busy() -> Digest {
        Digest {
            ended: vec![count("linked", 12), count("rejected", 2), count("failed", 1)],
            vanished: 1,
            waiting: vec![
                Waiting { stage: Stage::AccountAdmin, by_age: [30, 5, 0, 2] },
                Waiting { stage: Stage::ProgramAdmin, by_age: [0, 4, 0, 0] },
            ],
            stuck: 3,
            deferred: 40,
            gates: vec![count("program_month", 1)],
            conflicts: vec![count("adopted", 2)],
            firing: vec![count("stuck", 3)],
            ..Digest::default()
        }
    }

    #[test]
    fn a_digest_says_first_what_needs_a_person() {
        let words = busy().words(Language::En);
        assert_eq!(words.title, "12 linked and 3 ended otherwise since yesterday; 41 wait, 3 too long");
        assert_eq!(
            words.lead,
            "To look at: 3 waiting too long, 1 links vanished unasked, 1 failed, 2 refused, 2 open conflicts."
        );
        assert_eq!(words.rows[0], ["waits for the account's administrator", "37", "30", "5", "", "2"]);
        assert_eq!(words.rows.len(), 2 + 3 + 1 + 2 + 3);
        assert_eq!(words.total, 41);
        let words = busy().words(Language::Zh);
        assert_eq!(words.title, "昨日以来关联成功12个，未成功3个；等待中41个，其中卡住3个");
        assert_eq!(words.lead, "需要处理：等待过久3个、未经请求而消失的关联1个、失败1个、被拒绝2个、未解决的冲突2个。");
    }

    #[test]
    fn of_what_is_not_read_nobody_is_said_to_be_waited_for() {
        let words = Digest { unread: 7, ..busy() }.words(Language::En);
        assert_eq!(words.title, "12 linked and 3 ended otherwise since yesterday; 48 wait, 3 too long");
        assert!(words.lead.contains("3 waiting too long, 7 waiting with accounts that are not read"), "{}", words.lead);
        assert!(words.rows.iter().any(|row| row[..2] == ["waits, its account's list is not read", "7"]), "{words:?}");
    }

    #[test]
    fn every_row_has_every_column() {
        for language in [Language::En, Language::Zh] {
            let words = busy().words(language);
            assert!(words.rows.iter().all(|row| row.len() == words.columns.len()), "{words:?}");
        }
    }

    #[test]
    fn a_quiet_day_is_said_to_be_one() {
        let words = Digest::default().words(Language::En);
        assert_eq!((words.lead.as_str(), words.rows.len()), ("Nothing needs a person.", 0));
        assert_eq!(Digest::default().words(Language::Zh).lead, "没有需要处理的事项。");
    }
}
