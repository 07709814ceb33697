//! Encrypted assertions (XML Encryption 1.1), by OpenSSL.
//!
//! Every failure of a key or a ciphertext is one refusal with one wording, so that nobody learns
//! which step failed. Never here: signatures, trust in what comes out. Entry point: [`assertion`].

use base64::{Engine, engine::general_purpose::STANDARD};
use openssl::{
    cipher::{Cipher, CipherRef},
    cipher_ctx::CipherCtx,
    error::ErrorStack,
    md::{Md, MdRef},
    pkey::{PKey, Private},
    pkey_ctx::PkeyCtx,
    rsa::Padding,
};
use quick_xml::{
    NsReader,
    events::Event,
    name::{PrefixDeclaration, ResolveResult},
};
use zeroize::Zeroizing;

use super::{
    element::{Element, Namespace},
    gate::{self, MOST_ENCRYPTED_KEYS, MOST_IN_SCOPE},
    refusal::{Reason, Refused},
};

/// The tag of AES-GCM at the end of the ciphertext, in bytes (XML Encryption 5.2.4).
const TAG: usize = 16;

/// Opens the one `EncryptedAssertion` of a response, with one of `keys`.
///
/// `text` is what `response` was read from. AES-CBC is taken only where `is_cbc_allowed`: it is
/// malleable, so something signed has to cover it, or the configuration has to say so.
///
/// # Errors
/// [`Reason::Encryption`] for a form that is not taken, [`Reason::Decryption`] for everything else.
pub(super) fn assertion(
    response: &Element,
    text: &str,
    keys: &[PKey<Private>],
    is_cbc_allowed: bool,
) -> Result<Zeroizing<String>, Refused> {
    let Some(encrypted) = response.only(Namespace::Assertion, "EncryptedAssertion")? else {
        return Err(unreadable("the response has no EncryptedAssertion"));
    };
    let Some(data) = encrypted.only(Namespace::Encryption, "EncryptedData")? else {
        return Err(unreadable("the EncryptedAssertion has no EncryptedData"));
    };
    let content = Content::of(data, is_cbc_allowed)?;
    let wrapped = wrapped_keys(encrypted, data)?;
    let ciphertext = cipher_value(data)?;
    if keys.is_empty() {
        return Err(Refused::new(
            Reason::Decryption,
            "the assertion is encrypted, and no key to decrypt is configured",
        ));
    }
    let plaintext = wrapped
        .iter()
        .flat_map(|wrapped| {
            keys.iter()
                .filter_map(|key| wrapped.open(key, content.key_length()))
        })
        .find_map(|key| content.open(&key, &ciphertext));
    drop(ErrorStack::get());
    let plaintext = plaintext.ok_or_else(failed)?;
    if plaintext.len() > gate::LARGEST {
        return Err(failed());
    }
    let plaintext = std::str::from_utf8(&plaintext).map_err(|_| failed())?;
    in_scope(plaintext, text)
}

fn failed() -> Refused {
    Refused::new(
        Reason::Decryption,
        "no configured key opens this assertion; does the provider encrypt to a certificate of the \
         current metadata?",
    )
}

fn unreadable(detail: impl Into<String>) -> Refused {
    Refused::new(Reason::Encryption, detail)
}

/// How the assertion itself is encrypted.
#[derive(Clone, Copy)]
struct Content {
    cipher: &'static CipherRef,
    is_authenticated: bool,
}

impl Content {
    fn of(data: &Element, is_cbc_allowed: bool) -> Result<Self, Refused> {
        let algorithm = algorithm(data)?.0;
        let (cipher, is_authenticated) = match algorithm {
            "http://www.w3.org/2009/xmlenc11#aes128-gcm" => (Cipher::aes_128_gcm(), true),
            "http://www.w3.org/2009/xmlenc11#aes192-gcm" => (Cipher::aes_192_gcm(), true),
            "http://www.w3.org/2009/xmlenc11#aes256-gcm" => (Cipher::aes_256_gcm(), true),
            "http://www.w3.org/2001/04/xmlenc#aes128-cbc" => (Cipher::aes_128_cbc(), false),
            "http://www.w3.org/2001/04/xmlenc#aes192-cbc" => (Cipher::aes_192_cbc(), false),
            "http://www.w3.org/2001/04/xmlenc#aes256-cbc" => (Cipher::aes_256_cbc(), false),
            other => {
                let detail = format!("{other:?} is not taken; AES-GCM would be right");
                return Err(unreadable(detail));
            }
        };
        if !is_authenticated && !is_cbc_allowed {
            return Err(unreadable(
                "AES-CBC in a response that is not signed is not taken; AES-GCM or a signed \
                 response would be right",
            ));
        }
        Ok(Self {
            cipher,
            is_authenticated,
        })
    }

    fn key_length(self) -> usize {
        self.cipher.key_length()
    }

    /// The plaintext; none whatever went wrong.
    fn open(self, key: &[u8], ciphertext: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (iv, rest) = ciphertext.split_at_checked(self.cipher.iv_length())?;
        let (body, tag) = if self.is_authenticated {
            rest.split_at_checked(rest.len().checked_sub(TAG)?)?
        } else {
            (rest, &[][..])
        };
        let mut context = CipherCtx::new().ok()?;
        context
            .decrypt_init(Some(self.cipher), Some(key), Some(iv))
            .ok()?;
        // XML Encryption pads with any bytes but the last, which OpenSSL does not know.
        context.set_padding(false);
        let mut plaintext = Zeroizing::new(Vec::with_capacity(body.len() + 32));
        context.cipher_update_vec(body, &mut plaintext).ok()?;
        if self.is_authenticated {
            context.set_tag(tag).ok()?;
        }
        context.cipher_final_vec(&mut plaintext).ok()?;
        if !self.is_authenticated {
            let padding = usize::from(*plaintext.last()?);
            if !(1..=16).contains(&padding) {
                return None;
            }
            let length = plaintext.len().checked_sub(padding)?;
            plaintext.truncate(length);
        }
        Some(plaintext)
    }
}

/// A content key, wrapped for one recipient by RSA-OAEP.
struct WrappedKey {
    digest: &'static MdRef,
    mask_digest: &'static MdRef,
    ciphertext: Vec<u8>,
}

/// The wrapped keys: inside the data's KeyInfo, or beside the data.
fn wrapped_keys(encrypted: &Element, data: &Element) -> Result<Vec<WrappedKey>, Refused> {
    let inside = data
        .named(Namespace::Signature, "KeyInfo")
        .flat_map(|info| info.named(Namespace::Encryption, "EncryptedKey"));
    let keys = inside
        .chain(encrypted.named(Namespace::Encryption, "EncryptedKey"))
        .map(WrappedKey::of)
        .collect::<Result<Vec<_>, _>>()?;
    match keys.len() {
        0 => Err(unreadable("the EncryptedAssertion has no EncryptedKey")),
        1..=MOST_ENCRYPTED_KEYS => Ok(keys),
        count => Err(unreadable(format!(
            "the EncryptedAssertion has {count} EncryptedKeys, at most {MOST_ENCRYPTED_KEYS} are read"
        ))),
    }
}

impl WrappedKey {
    fn of(key: &Element) -> Result<Self, Refused> {
        let (algorithm, method) = algorithm(key)?;
        let digest = match method.only(Namespace::Signature, "DigestMethod")? {
            None => Md::sha1(),
            Some(digest) => match digest.attribute("Algorithm").unwrap_or_default() {
                "http://www.w3.org/2000/09/xmldsig#sha1" => Md::sha1(),
                "http://www.w3.org/2001/04/xmlenc#sha256" => Md::sha256(),
                "http://www.w3.org/2001/04/xmldsig-more#sha384" => Md::sha384(),
                "http://www.w3.org/2001/04/xmlenc#sha512" => Md::sha512(),
                other => return Err(unreadable(format!("the digest {other:?} is not taken"))),
            },
        };
        let mask = match method.only(Namespace::Encryption11, "MGF")? {
            None => "",
            Some(mask) => mask.attribute("Algorithm").unwrap_or_default(),
        };
        let mask_digest = match (algorithm, mask) {
            ("http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p", "")
            | (
                "http://www.w3.org/2009/xmlenc11#rsa-oaep",
                "" | "http://www.w3.org/2009/xmlenc11#mgf1sha1",
            ) => Md::sha1(),
            ("http://www.w3.org/2009/xmlenc11#rsa-oaep", mask) => match mask {
                "http://www.w3.org/2009/xmlenc11#mgf1sha256" => Md::sha256(),
                "http://www.w3.org/2009/xmlenc11#mgf1sha384" => Md::sha384(),
                "http://www.w3.org/2009/xmlenc11#mgf1sha512" => Md::sha512(),
                other => return Err(unreadable(format!("the mask {other:?} is not taken"))),
            },
            (other, _) => {
                return Err(unreadable(format!(
                    "{other:?} for the key is not taken; RSA-OAEP would be right"
                )));
            }
        };
        if method
            .named(Namespace::Encryption, "OAEPparams")
            .next()
            .is_some()
        {
            return Err(unreadable("OAEPparams are not taken"));
        }
        Ok(Self {
            digest,
            mask_digest,
            ciphertext: cipher_value(key)?,
        })
    }

    /// The content key, of just this length; none whatever went wrong.
    fn open(&self, key: &PKey<Private>, length: usize) -> Option<Zeroizing<Vec<u8>>> {
        let mut context = PkeyCtx::new(key).ok()?;
        context.decrypt_init().ok()?;
        context.set_rsa_padding(Padding::PKCS1_OAEP).ok()?;
        context.set_rsa_oaep_md(self.digest).ok()?;
        context.set_rsa_mgf1_md(self.mask_digest).ok()?;
        let mut opened = Zeroizing::new(Vec::new());
        context.decrypt_to_vec(&self.ciphertext, &mut opened).ok()?;
        (opened.len() == length).then_some(opened)
    }
}

/// The algorithm of an EncryptedData or EncryptedKey, and the element that names it.
fn algorithm(of: &Element) -> Result<(&str, &Element), Refused> {
    (of.only(Namespace::Encryption, "EncryptionMethod")?)
        .and_then(|method| Some((method.attribute("Algorithm")?, method)))
        .ok_or_else(|| unreadable(format!("{} names no EncryptionMethod", of.name())))
}

/// The bytes of an EncryptedData or EncryptedKey. A CipherReference would have to be fetched.
fn cipher_value(of: &Element) -> Result<Vec<u8>, Refused> {
    let value = match of.only(Namespace::Encryption, "CipherData")? {
        Some(data) => data.only(Namespace::Encryption, "CipherValue")?,
        None => None,
    };
    let Some(value) = value else {
        return Err(unreadable(format!("{} has no CipherValue", of.name())));
    };
    let mut value = value.value()?.to_owned();
    value.retain(|character| !matches!(character, ' ' | '\t' | '\r' | '\n'));
    let detail = "a CipherValue is no base64";
    STANDARD.decode(value).map_err(|_| unreadable(detail))
}

/// The plaintext with the namespaces of the place where it was encrypted.
///
/// xmlsec and ElementTree encrypt an element without the declarations of its ancestors. Only those
/// that are used and not declared are added, since another would change what inclusive
/// canonicalization yields.
fn in_scope(plaintext: &str, text: &str) -> Result<Zeroizing<String>, Refused> {
    let missing = missing_prefixes(plaintext).ok_or_else(failed)?;
    let mut whole = Zeroizing::new(plaintext.to_owned());
    if missing.is_empty() {
        return Ok(whole);
    }
    let end_of_name = (plaintext.find('<'))
        .and_then(|start| {
            let name = plaintext.get(start..)?;
            Some(start + name.find([' ', '\t', '\r', '\n', '>', '/'])?)
        })
        .ok_or_else(failed)?;
    for (prefix, namespace) in scope(text).ok_or_else(failed)? {
        if missing.contains(&prefix) {
            let namespace = quick_xml::escape::escape(namespace.as_str());
            let declaration = if prefix.is_empty() {
                format!(" xmlns=\"{namespace}\"")
            } else {
                format!(" xmlns:{prefix}=\"{namespace}\"")
            };
            whole.insert_str(end_of_name, &declaration);
        }
    }
    Ok(whole)
}

/// The prefixes that are used and not declared; the empty one where the root has no namespace. None
/// for what the gate will refuse: a stranger may have encrypted it, so its bounds hold here too.
fn missing_prefixes(plaintext: &str) -> Option<Vec<String>> {
    let mut reader = NsReader::from_str(plaintext);
    let mut depth = 0_usize;
    let mut missing = Vec::new();
    let mut note = |resolved: ResolveResult<'_>| {
        if let ResolveResult::Unknown(prefix) = resolved {
            let prefix = String::from_utf8_lossy(&prefix).into_owned();
            // One too many is enough to know.
            if missing.len() <= gate::MOST_NAMESPACES && !missing.contains(&prefix) {
                missing.push(prefix);
            }
        }
    };
    let mut is_root = true;
    let mut is_unbound = false;
    loop {
        let event = reader.read_event().ok()?;
        match &event {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth >= gate::DEEPEST {
            return None;
        }
        match event {
            Event::Start(start) | Event::Empty(start) => {
                let resolver = reader.resolver();
                // What it yields at most are all, in no time.
                let in_scope = resolver.bindings().size_hint().1;
                if in_scope.is_none_or(|count| count > MOST_IN_SCOPE) {
                    return None;
                }
                let (resolved, _) = resolver.resolve_element(start.name());
                is_unbound |= is_root && resolved == ResolveResult::Unbound;
                is_root = false;
                note(resolved);
                for (count, attribute) in start.attributes().enumerate() {
                    if count == gate::MOST_ATTRIBUTES + gate::MOST_NAMESPACES {
                        return None;
                    }
                    note(resolver.resolve_attribute(attribute.ok()?.key).0);
                }
            }
            Event::DocType(_) => return None,
            Event::Eof => break,
            _ => {}
        }
    }
    if is_unbound {
        missing.push(String::new());
    }
    (missing.len() <= gate::MOST_NAMESPACES).then_some(missing)
}

/// The namespaces in scope at the EncryptedAssertion.
fn scope(text: &str) -> Option<Vec<(String, String)>> {
    let mut reader = NsReader::from_str(text);
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) if start.local_name().as_ref() == b"EncryptedAssertion" => break,
            Event::Eof => return None,
            _ => {}
        }
    }
    let bindings = reader.resolver().bindings().map(|(prefix, namespace)| {
        let prefix = match prefix {
            PrefixDeclaration::Default => "",
            PrefixDeclaration::Named(prefix) => std::str::from_utf8(prefix).ok()?,
        };
        let namespace = std::str::from_utf8(namespace.into_inner()).ok()?;
        let namespace = quick_xml::escape::unescape(namespace).ok()?;
        Some((prefix.to_owned(), namespace.into_owned()))
    });
    bindings.collect()
}

#[cfg(test)]
mod tests {
    use openssl::rsa::Rsa;

    use super::*;

    const GCM: &str = "http://www.w3.org/2009/xmlenc11#aes256-gcm";
    const CBC: &str = "http://www.w3.org/2001/04/xmlenc#aes256-cbc";
    const MGF1P: &str =
        r#"<e:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"/>"#;
    const PLAINTEXT: &str = r#"<s:Assertion ID="_2"><s:Issuer a:b="c">i</s:Issuer></s:Assertion>"#;

    fn key() -> PKey<Private> {
        PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap()
    }

    /// PLAINTEXT under `content`, its key wrapped for `recipient` as `method` says.
    fn encrypted(
        recipient: &PKey<Private>,
        content: &str,
        method: &str,
        md: &'static MdRef,
    ) -> String {
        let (secret, iv) = ([7; 32], [9; 16]);
        let mut context = CipherCtx::new().unwrap();
        let is_gcm = content == GCM;
        let (cipher, iv) = if is_gcm {
            (Cipher::aes_256_gcm(), &iv[..12])
        } else {
            (Cipher::aes_256_cbc(), &iv[..])
        };
        (context.encrypt_init(Some(cipher), Some(&secret), Some(iv))).unwrap();
        context.set_padding(false);
        let mut plaintext = PLAINTEXT.as_bytes().to_vec();
        if !is_gcm {
            let padding = 16 - plaintext.len() % 16;
            plaintext.extend(std::iter::repeat_n(b'x', padding - 1));
            plaintext.push(u8::try_from(padding).unwrap());
        }
        let mut data = iv.to_vec();
        context.cipher_update_vec(&plaintext, &mut data).unwrap();
        context.cipher_final_vec(&mut data).unwrap();
        if is_gcm {
            let mut tag = [0; TAG];
            context.tag(&mut tag).unwrap();
            data.extend(tag);
        }
        let mut context = PkeyCtx::new(recipient).unwrap();
        context.encrypt_init().unwrap();
        context.set_rsa_padding(Padding::PKCS1_OAEP).unwrap();
        context.set_rsa_oaep_md(md).unwrap();
        let mask = if method.contains("mgf1sha256") {
            Md::sha256()
        } else {
            Md::sha1()
        };
        context.set_rsa_mgf1_md(mask).unwrap();
        let mut wrapped = Vec::new();
        context.encrypt_to_vec(&secret, &mut wrapped).unwrap();
        let (data, wrapped) = (STANDARD.encode(data), STANDARD.encode(wrapped));
        format!(
            r#"<p:Response xmlns:p="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:s="urn:oasis:names:tc:SAML:2.0:assertion" xmlns:a="urn:a" xmlns:unused="urn:u"><s:EncryptedAssertion xmlns:e="http://www.w3.org/2001/04/xmlenc#" xmlns:d="http://www.w3.org/2000/09/xmldsig#" xmlns:f="http://www.w3.org/2009/xmlenc11#"><e:EncryptedData><e:EncryptionMethod Algorithm="{content}"/><d:KeyInfo><e:EncryptedKey>{method}<e:CipherData><e:CipherValue>{wrapped}</e:CipherValue></e:CipherData></e:EncryptedKey></d:KeyInfo><e:CipherData><e:CipherValue>
{data}
</e:CipherValue></e:CipherData></e:EncryptedData></s:EncryptedAssertion></p:Response>"#
        )
    }

    fn open(text: &str, keys: &[PKey<Private>], is_cbc_allowed: bool) -> Result<String, Reason> {
        let response = Element::read(text).unwrap();
        assertion(&response, text, keys, is_cbc_allowed)
            .map(|plaintext| plaintext.to_string())
            .map_err(|refused| refused.reason)
    }

    #[test]
    fn assertions_open_with_each_form_and_any_key_and_get_the_namespaces_they_use() {
        let (old, new) = (key(), key());
        let oaep = r#"<e:EncryptionMethod Algorithm="http://www.w3.org/2009/xmlenc11#rsa-oaep"><d:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><f:MGF Algorithm="http://www.w3.org/2009/xmlenc11#mgf1sha256"/></e:EncryptionMethod>"#;
        let keys = [new, old.clone()];
        for (content, method, md) in [
            (GCM, MGF1P, Md::sha1()),
            (GCM, oaep, Md::sha256()),
            (CBC, MGF1P, Md::sha1()),
        ] {
            let text = encrypted(&old, content, method, md);
            let opened = open(&text, &keys, true).unwrap();
            assert!(opened.starts_with("<s:Assertion xmlns:"), "{opened}");
            for used in [
                r#" xmlns:s="urn:oasis:names:tc:SAML:2.0:assertion""#,
                r#" xmlns:a="urn:a""#,
            ] {
                assert!(opened.contains(used), "{opened}");
            }
            assert!(!opened.contains("unused"), "{opened}");
            assert_eq!(open(&text, &keys[..1], true), Err(Reason::Decryption));
            assert_eq!(open(&text, &[], true), Err(Reason::Decryption));
        }
    }

    #[test]
    fn nobody_learns_which_step_failed() {
        let recipient = key();
        let text = encrypted(&recipient, GCM, MGF1P, Md::sha1());
        let values: Vec<&str> = text.split("CipherValue>").collect();
        let keys = [recipient.clone()];
        let mut details = std::collections::HashSet::new();
        for value in [values[1], values[3]] {
            let value = value.trim_end_matches("</e:").trim();
            let flipped = if value.starts_with('A') { "B" } else { "A" };
            for other in [
                format!("{flipped}{}", &value[1..]),
                "AAAA".to_owned(),
                String::new(),
            ] {
                let text = text.replace(value, &other);
                let refused = assertion(&Element::read(&text).unwrap(), &text, &keys, true);
                let refused = refused.unwrap_err();
                assert_eq!(refused.reason, Reason::Decryption);
                details.insert(refused.detail);
            }
        }
        assert_eq!(details.len(), 1, "{details:?}");
    }

    #[test]
    fn what_a_stranger_encrypted_costs_no_more_than_what_they_post() {
        let text = r#"<r xmlns:s="urn:s"><EncryptedAssertion></EncryptedAssertion></r>"#;
        let joined = |count: usize, one: &dyn Fn(usize) -> String| -> String {
            (0..count).map(one).collect::<Vec<_>>().concat()
        };
        let attributes = joined(13_000, &|n| format!(" {n:x}a=''"));
        let prefixes = joined(12_000, &|n| format!("<a{n:x}:a/>"));
        let declared = joined(1_000, &|n| format!(" xmlns:a{n:x}='u:a'"));
        let nested = "<b xmlns:a='u:a' xmlns:b='u:b' xmlns:c='u:c'>".repeat(50);
        for bomb in [
            format!("<s:a{attributes}/>"),
            format!("<s:a>{prefixes}</s:a>"),
            format!("<s:a{declared}>{}</s:a>", "<b/>".repeat(20_000)),
            format!("<s:a>{nested}{}</s:a>", "<b/>".repeat(20_000)),
            format!("<s:a>{}</s:a>", "<b>".repeat(gate::DEEPEST)),
        ] {
            assert!(bomb.len() < gate::LARGEST);
            assert!(in_scope(&bomb, text).is_err(), "{}", &bomb[..40]);
        }
        assert!(in_scope("<s:a><b x='' y=''/></s:a>", text).is_ok());
    }

    #[test]
    fn weak_forms_are_refused_by_name() {
        let recipient = key();
        let keys = [recipient.clone()];
        let cbc = encrypted(&recipient, CBC, MGF1P, Md::sha1());
        assert_eq!(open(&cbc, &keys, false), Err(Reason::Encryption));
        let gcm = encrypted(&recipient, GCM, MGF1P, Md::sha1());
        let key = gcm.split("KeyInfo>").nth(1).unwrap();
        let key = key.trim_end_matches("</d:");
        for (from, to) in [
            ("xmlenc#rsa-oaep-mgf1p", "xmlenc#rsa-1_5"),
            (GCM, "http://www.w3.org/2001/04/xmlenc#tripledes-cbc"),
            (key, ""),
            (key, &key.repeat(5)),
            ("<e:CipherValue>", "<e:CipherValue>%"),
            (
                MGF1P,
                &MGF1P.replace(
                    "/>",
                    "><e:OAEPparams>AA==</e:OAEPparams></e:EncryptionMethod>",
                ),
            ),
            (
                "<e:CipherData>",
                r#"<e:CipherData><e:CipherReference URI="http://x/"/></e:CipherData><e:CipherData>"#,
            ),
        ] {
            let text = gcm.replace(from, to);
            assert_ne!(text, gcm, "{from}");
            assert!(
                matches!(
                    open(&text, &keys, true),
                    Err(Reason::Encryption | Reason::UnexpectedElement)
                ),
                "{from}"
            );
        }
    }
}
