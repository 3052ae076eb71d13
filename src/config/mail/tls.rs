//! The authorities that an operator names for the mail server.

use std::{fs, path::Path};

use tokio_rustls::rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
    server::ParsedCertificate,
};

/// The certificates of a PEM file (RFC 7468), each of which can be trusted.
///
/// # Errors
/// When the file cannot be read or has no certificate, or which one of them cannot be used.
pub fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let told = |problem: String| format!("{}: {problem}", path.display());
    let pem = fs::read(path).map_err(|error| told(error.to_string()))?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| told(format!("is not whole PEM ({error})")))?;
    if found.is_empty() {
        let problem = "holds no certificate between -----BEGIN CERTIFICATE----- and -----END CERTIFICATE-----";
        return Err(told(problem.to_owned()));
    }
    for (number, certificate) in (1..).zip(&found) {
        RootCertStore::empty()
            .add(certificate.clone())
            .map_err(|error| told(format!("certificate {number} cannot be used ({error})")))?;
    }
    Ok(found)
}

/// What is true of such certificates and may surprise. One before version 3 is good for vouching for others, and is never
/// taken as a mail server's own.
pub fn surprises(authorities: &[CertificateDer<'static>]) -> Vec<String> {
    (1..)
        .zip(authorities)
        .filter(|(_, certificate)| ParsedCertificate::try_from(*certificate).is_err())
        .map(|(number, _)| {
            format!(
                "certificate {number} is not X.509 version 3: it may vouch for others, but a mail server that shows it as its own \
                 is refused; have that one issued anew as version 3"
            )
        })
        .collect()
}
