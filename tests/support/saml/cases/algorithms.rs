//! Algorithms that are weak, made up, or keyed with what everybody knows.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use openssl::{
    bn::{BigNum, BigNumContext, BigNumRef},
    hash::{MessageDigest, hash},
    pkey::PKey,
};

use super::{Recipe, reject};
use crate::support::saml::{
    provider::Draft,
    scene::Scene,
    signature::{Hash, Signing},
    xml::{Canonicalization, Element, canonicalize},
};

const ALGORITHM: &[&str] = &["algorithm_not_allowed"];
const TRUNCATED: &[&str] = &[
    "algorithm_not_allowed",
    "signature_shape",
    "unexpected_element",
];

pub(super) fn recipes() -> Vec<Recipe> {
    let mut recipes = hmacs();
    recipes.extend(weak());
    recipes.extend(forged());
    recipes
}

fn hmacs() -> Vec<Recipe> {
    type Key = (&'static str, fn(&Scene) -> Vec<u8>);
    let keys: [Key; 7] = [
        ("certificate-pem", |s| {
            s.provider.primary.certificate_pem().into_bytes()
        }),
        ("certificate-der", |s| s.provider.primary.der()),
        ("certificate-base64", |s| {
            STANDARD.encode(s.provider.primary.der()).into_bytes()
        }),
        ("public-key-pem", |s| {
            s.provider
                .primary
                .public_key()
                .public_key_to_pem()
                .expect("a public key")
        }),
        ("public-key-der", |s| {
            s.provider
                .primary
                .public_key()
                .public_key_to_der()
                .expect("a public key")
        }),
        ("entity-id", |s| s.provider.entity_id.clone().into_bytes()),
        // The empty key: HMAC fills a short key up with zeros.
        ("nothing", |_| vec![0]),
    ];
    let mut recipes: Vec<Recipe> = keys
        .into_iter()
        .map(|(name, key)| {
            reject(format!("algorithm-hmac-{name}"), ALGORITHM, move |s| {
                hmac(s, &key(s), None)
            })
        })
        .collect();
    // CVE-2009-0217
    for bits in [0, 1, 8] {
        recipes.push(reject(
            format!("algorithm-hmac-{bits}-bits"),
            TRUNCATED,
            move |s| hmac(s, b"no key of anybody", Some(bits)),
        ));
    }
    recipes
}

fn weak() -> Vec<Recipe> {
    let mut recipes = vec![
        reject("algorithm-rsa-sha1", ALGORITHM, |s| {
            hashed(s, Hash::SHA1, Hash::SHA1)
        }),
        reject("algorithm-digest-sha1", ALGORITHM, |s| {
            hashed(s, Hash::SHA256, Hash::SHA1)
        }),
        reject("algorithm-signature-sha1", ALGORITHM, |s| {
            hashed(s, Hash::SHA1, Hash::SHA256)
        }),
        reject("algorithm-rsa-md5", ALGORITHM, |s| {
            hashed(s, Hash::MD5, Hash::MD5)
        }),
        reject("algorithm-digest-md5", ALGORITHM, |s| {
            hashed(s, Hash::SHA256, Hash::MD5)
        }),
    ];
    let made_up = [
        (
            "unknown",
            "http://www.w3.org/2001/04/xmldsig-more#rsa-sha1024",
        ),
        ("none", "http://www.w3.org/2000/09/xmldsig#none"),
        ("empty", ""),
        ("dsa", "http://www.w3.org/2000/09/xmldsig#dsa-sha1"),
    ];
    for (name, identifier) in made_up {
        recipes.push(reject(format!("algorithm-{name}"), ALGORITHM, move |s| {
            signed_with_method(s, identifier)
        }));
    }
    let commented = [
        (
            "exclusive",
            "http://www.w3.org/2001/10/xml-exc-c14n#WithComments",
        ),
        (
            "inclusive",
            "http://www.w3.org/TR/2001/REC-xml-c14n-20010315#WithComments",
        ),
        ("1.1", "http://www.w3.org/2006/12/xml-c14n11"),
    ];
    for (name, identifier) in commented {
        recipes.push(reject(
            format!("algorithm-canonicalization-{name}"),
            &["signature_transform", "algorithm_not_allowed"],
            move |s| {
                let signing = s.draft().usual().tweaked(move |signature| {
                    let method = signature.at("SignedInfo/CanonicalizationMethod");
                    method.set("Algorithm", identifier);
                });
                s.draft().sign("Assertion", &signing)
            },
        ));
    }
    recipes
}

fn forged() -> Vec<Recipe> {
    vec![
        // CVE-2022-21449
        reject("algorithm-ecdsa-zero", &["signature_invalid"], |s| {
            let ec = &s.provider.ec;
            let draft = s.draft().edit(|r| s.corrupt(r.at("Assertion")));
            draft
                .sign("Assertion", &Signing::new(&ec.key, Some(&ec.der())))
                .edit(|r| {
                    r.at("Assertion/Signature/SignatureValue")
                        .fill(&*STANDARD.encode([0; 64]));
                })
        })
        .adjust(|s, case| case.certificates = vec![s.provider.ec.der()]),
        reject(
            "algorithm-ecdsa-as-der",
            &["signature_invalid", "signature_shape"],
            |s| {
                // XML signatures hold two numbers of fixed length, not ASN.1.
                let ec = &s.provider.ec;
                let signing = Signing::new(&ec.key, Some(&ec.der()));
                s.draft().sign("Assertion", &signing).edit(|r| {
                    let value = r.at("Assertion/Signature/SignatureValue");
                    let raw = STANDARD.decode(value.text()).expect("base64");
                    let half = |bytes| BigNum::from_slice(bytes).expect("a number");
                    let both = (half(&raw[..32]), half(&raw[32..]));
                    let der = openssl::ecdsa::EcdsaSig::from_private_components(both.0, both.1)
                        .and_then(|signature| signature.to_der())
                        .expect("two numbers");
                    value.fill(&*STANDARD.encode(der));
                })
            },
        )
        .adjust(|s, case| case.certificates = vec![s.provider.ec.der()]),
        // CVE-2006-4339
        reject(
            "algorithm-rsa-exponent-3-forged",
            &["signature_invalid"],
            |s| {
                let low = &s.provider.low_exponent;
                let draft = s.draft().edit(|r| s.corrupt(r.at("Assertion")));
                let draft = draft.sign("Assertion", &Signing::new(&low.key, None));
                let exclusive = Canonicalization::Exclusive(Vec::new());
                let way = draft.root.way_to("Assertion/Signature/SignedInfo");
                let signed_info = canonicalize(&way, None, &exclusive, &draft.prefixes);
                let forged = STANDARD.encode(forge_with_exponent_3(&signed_info));
                draft.edit(|r| r.at("Assertion/Signature/SignatureValue").fill(&*forged))
            },
        )
        .adjust(|s, case| case.certificates = vec![s.provider.low_exponent.der()]),
        reject(
            "algorithm-rsa-key-with-ecdsa",
            &["signature_invalid", "algorithm_not_allowed"],
            |s| signed_with_method(s, Hash::SHA256.ecdsa),
        ),
    ]
}

fn hmac(scene: &Scene, key: &[u8], bits: Option<u8>) -> Draft {
    let key = PKey::hmac(key).expect("any bytes are an HMAC key");
    let signing = Signing::new(&key, None).tweaked(move |signature| {
        if let Some(bits) = bits {
            let length = Element::new("ds:HMACOutputLength").child(&*bits.to_string());
            signature.at("SignedInfo/SignatureMethod").push(length);
        }
    });
    let draft = scene.draft().edit(|r| scene.corrupt(r.at("Assertion")));
    draft.sign("Assertion", &signing).edit(|r| {
        if let Some(bits) = bits {
            let value = r.at("Assertion/Signature/SignatureValue");
            let whole = STANDARD.decode(value.text()).expect("base64");
            value.fill(&*STANDARD.encode(&whole[..usize::from(bits.div_ceil(8))]));
        }
    })
}

fn hashed(scene: &Scene, hash: Hash, digest: Hash) -> Draft {
    let signing = Signing {
        hash,
        digest,
        ..scene.draft().usual()
    };
    scene.draft().sign("Assertion", &signing)
}

fn signed_with_method(scene: &Scene, identifier: &'static str) -> Draft {
    let signing = scene.draft().usual().tweaked(move |signature| {
        signature
            .at("SignedInfo/SignatureMethod")
            .set("Algorithm", identifier);
    });
    scene.draft().sign("Assertion", &signing)
}

/// A number whose third power begins like a PKCS#1 1.5 signature of `content`, with garbage behind
/// the digest: for verifiers that do not look at the end.
fn forge_with_exponent_3(content: &[u8]) -> Vec<u8> {
    const SHA256_INFO: &[u8] = &[
        0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01,
        0x05, 0x00, 0x04, 0x20,
    ];
    let digest = hash(MessageDigest::sha256(), content).expect("SHA-256");
    let start = [
        &[0, 1, 255, 255, 255, 255, 255, 255, 255, 255, 0],
        SHA256_INFO,
        &digest,
    ]
    .concat();
    let mut block = start.clone();
    block.resize(256, 0xff);
    let highest = BigNum::from_slice(&block).expect("a number");
    let root = cube_root(&highest);
    let cube = cube(&root)
        .to_vec_padded(256)
        .expect("it is smaller than the block");
    assert!(cube.starts_with(&start), "the cube begins like a signature");
    root.to_vec_padded(256).expect("it is shorter")
}

/// The largest number whose cube is not above `number`, which has at most 2048 bits.
fn cube_root(number: &BigNumRef) -> BigNum {
    let mut root = BigNum::new().expect("a number");
    for bit in (0..=683).rev() {
        root.set_bit(bit).expect("a number");
        if cube(&root).ucmp(number).is_gt() {
            root.clear_bit(bit).expect("a number");
        }
    }
    root
}

fn cube(number: &BigNumRef) -> BigNum {
    let mut context = BigNumContext::new().expect("OpenSSL works");
    let three = BigNum::from_u32(3).expect("a number");
    let mut cube = BigNum::new().expect("a number");
    cube.exp(number, &three, &mut context).expect("a number");
    cube
}
