//! A line of JSON for each query.

use std::io::Write as _;
use std::sync::Arc;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::flags::Which;
use super::{Observer, Seen, name};
use crate::answer::{Transport, wire};

/// Writes lines to standard output until `stop`.
pub async fn write(mut each: Receiver<Arc<Seen>>, which: Which, observer: Arc<Observer>, stop: CancellationToken) {
    let mut lines = String::new();
    while let Some(seen) = stop.run_until_cancelled(each.recv()).await {
        match seen {
            Ok(seen) => lines.extend(line(&seen, which)),
            Err(RecvError::Lagged(number)) => observer.left_out(number),
            Err(RecvError::Closed) => break,
        }
        // Together what has come meanwhile: a terminal or pipe that is slow holds up this task alone.
        while let Ok(seen) = each.try_recv() {
            lines.extend(line(&seen, which));
            if lines.len() > 64 << 10 {
                break;
            }
        }
        let text = std::mem::take(&mut lines);
        let written =
            tokio::task::spawn_blocking(move || std::io::stdout().lock().write_all(text.as_bytes()).map(|()| text));
        if let Ok(Ok(mut text)) = written.await {
            text.clear();
            lines = text;
        }
    }
}

/// `None` when there is none for such a query.
fn line(seen: &Seen, which: Which) -> Option<String> {
    let code = seen.answer.as_deref().and_then(|answer| answer.get(3)).map(|flags| ResponseCode::from(0, flags & 0x0f));
    let passes = matches!(code, Some(ResponseCode::NoError | ResponseCode::NXDomain) | None);
    if which == Which::Failed && passes {
        return None;
    }
    let end = wire::name_end(&seen.query, wire::HEADER_BYTES);
    let rtype = end.and_then(|end| seen.query.get(end..)?.first_chunk().copied().map(u16::from_be_bytes));
    let rtype = rtype.map(|rtype| RecordType::from(rtype).to_string()).unwrap_or_default();
    let transport = match seen.transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
    };
    let code = code.map_or_else(|| "forwarded".to_owned(), code_name);
    // What is in a name that JSON would take otherwise has been escaped with a backslash, which is one more here.
    let name = name(&seen.query).unwrap_or_default().replace('\\', "\\\\");
    let (at, bytes) = (seen.at, seen.answer.as_ref().map_or(0, |answer| answer.len()));
    let (seconds, millis, from) = (at.as_secs(), at.subsec_millis(), seen.from);
    Some(format!(
        "{{\"time\":{seconds}.{millis:03},\"client\":\"{from}\",\"transport\":\"{transport}\",\"name\":\"{}\",\"type\":\"{rtype}\",\"code\":\"{code}\",\"bytes\":{bytes}}}\n",
        name.replace('"', "\\\"")
    ))
}

fn code_name(code: ResponseCode) -> String {
    match code {
        ResponseCode::NoError => "NOERROR".to_owned(),
        ResponseCode::NXDomain => "NXDOMAIN".to_owned(),
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::FormErr => "FORMERR".to_owned(),
        ResponseCode::NotImp => "NOTIMP".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        other => format!("RCODE{}", other.low()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_line_says_who_asked_what_and_what_was_said() {
        let query = [&[0; 12][..], b"\x03Web\x02a\"\0\0\x01\0\x01"].concat();
        let mut seen = Seen {
            at: Duration::from_millis(1_800_000_000_007),
            from: [10, 1, 0, 1].into(),
            transport: Transport::Udp,
            query: query.into(),
            answer: Some([0, 0, 0x84, 0x02].into()),
        };
        let said = line(&seen, Which::Failed).unwrap();
        let expected = r#"{"time":1800000000.007,"client":"10.1.0.1","transport":"udp","name":"web.a\\\".","type":"A","code":"SERVFAIL","bytes":4}"#;
        assert_eq!(said.trim_end(), expected);
        seen.answer = Some([0, 0, 0x84, 0x03].into());
        assert_eq!(line(&seen, Which::Failed), None);
        assert!(line(&seen, Which::All).unwrap().contains("\"code\":\"NXDOMAIN\""));
        seen.answer = None;
        assert!(line(&seen, Which::All).unwrap().contains("\"code\":\"forwarded\""));
    }
}
