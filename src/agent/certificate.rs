//! Which certificate a file is of, in the words in which HAProxy tells what it serves. Pure.

use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::clients::haproxy::ServedCertificate;

/// The first certificate of a PEM file; none when it can't be read, which is for HAProxy to refuse.
#[must_use]
pub fn of_file(pem: &str) -> Option<ServedCertificate> {
    let der = CertificateDer::pem_slice_iter(pem.as_bytes()).next()?.ok()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).ok()?;
    let serial = certificate.raw_serial_as_string().replace(':', "").to_ascii_uppercase();
    let time = |time: x509_parser::time::ASN1Time| {
        let timestamp = Timestamp::from_second(time.timestamp()).ok()?;
        Some(timestamp.strftime("%b %e %H:%M:%S %Y GMT").to_string())
    };
    Some(ServedCertificate {
        serial: serial.trim_start_matches('0').to_owned(),
        not_before: time(certificate.validity().not_before)?,
        not_after: time(certificate.validity().not_after)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_haproxy_tells_it() {
        let mut parameters = rcgen::CertificateParams::new(["web.example".to_owned()]).expect("parameters");
        parameters.serial_number = Some(vec![0x00, 0xAB, 0x01].into());
        parameters.not_before = rcgen::date_time_ymd(2026, 11, 3);
        parameters.not_after = rcgen::date_time_ymd(2027, 1, 23);
        let key = rcgen::KeyPair::generate().expect("a key");
        let pem = parameters.self_signed(&key).expect("signed").pem();
        let expected = ServedCertificate {
            serial: "AB01".to_owned(),
            not_before: "Nov  3 00:00:00 2026 GMT".to_owned(),
            not_after: "Jan 23 00:00:00 2027 GMT".to_owned(),
        };
        assert_eq!(of_file(&pem), Some(expected));
        assert_eq!(of_file("no certificate"), None);
    }
}
