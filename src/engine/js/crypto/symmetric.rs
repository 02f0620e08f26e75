//! AES in its modes.

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::consts::{U12, U16};
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, KeyInit, KeyIvInit};
use aes::{Aes128, Aes192, Aes256, Block};
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, AesGcm};

use super::{Answer, Params, data, inputs, operation, unsupported};

const BLOCK_BYTES: usize = 16;
/// What RFC 3394 begins with.
const WRAP_START: [u8; 8] = [0xa6; 8];

/// An expression with the type of the cipher that a key is for.
macro_rules! with_cipher {
    ($key:expr, $C:ident => $expression:expr) => {
        match $key.len() {
            16 => {
                type $C = Aes128;
                $expression
            }
            24 => {
                type $C = Aes192;
                $expression
            }
            32 => {
                type $C = Aes256;
                $expression
            }
            _ => Err(data("an AES key has 128, 192 or 256 bits")),
        }
    };
}

/// AES-GCM of a key, a nonce, additional data, and the data with its tag behind.
pub fn gcm(params: &Params, all: &[Vec<u8>]) -> Answer {
    let [key, nonce, more, text] = inputs(all)?;
    with_cipher!(key, C => match nonce.len() {
        12 => gcm_with(&AesGcm::<C, U12>::new_from_slice(key).map_err(refused)?, nonce, more, text, params),
        16 => gcm_with(&AesGcm::<C, U16>::new_from_slice(key).map_err(refused)?, nonce, more, text, params),
        length => Err(unsupported(&format!("an AES-GCM iv of {length} bytes; use 12 (the standard's choice) or 16"))),
    })
}

fn refused(error: impl std::fmt::Display) -> String {
    operation(&error.to_string())
}

fn gcm_with<A: AeadInOut>(cipher: &A, nonce: &[u8], more: &[u8], text: &[u8], params: &Params) -> Answer {
    let nonce = nonce.try_into().map_err(refused)?;
    let tag_bytes = params.tag_bits / 8;
    if params.encrypt {
        let mut out = text.to_vec();
        let tag = cipher
            .encrypt_inout_detached(nonce, more, InOutBuf::from(out.as_mut_slice()))
            .map_err(refused)?;
        out.extend_from_slice(tag.get(..tag_bytes).unwrap_or(&tag));
        return Ok(vec![out]);
    }
    let wrong = || operation("the data, its key, iv or additional data is not what was encrypted");
    let (text, tag) = text
        .split_at_checked(text.len().wrapping_sub(tag_bytes))
        .ok_or_else(wrong)?;
    let mut out = text.to_vec();
    if let Ok(tag) = tag.try_into() {
        cipher
            .decrypt_inout_detached(nonce, more, InOutBuf::from(out.as_mut_slice()), tag)
            .map_err(|_| wrong())?;
        return Ok(vec![out]);
    }
    // A shortened tag: the stream of GCM is its own inverse, and the tag comes from encrypting again.
    cipher
        .encrypt_inout_detached(nonce, more, InOutBuf::from(out.as_mut_slice()))
        .map_err(refused)?;
    let mut again = out.clone();
    let whole = cipher
        .encrypt_inout_detached(nonce, more, InOutBuf::from(again.as_mut_slice()))
        .map_err(refused)?;
    let differs = whole.iter().zip(tag).fold(0, |sum, (one, other)| sum | (one ^ other));
    if differs != 0 || tag.is_empty() {
        return Err(wrong());
    }
    Ok(vec![out])
}

/// AES-CBC with PKCS #7 padding, of a key, an iv and data.
pub fn cbc(params: &Params, all: &[Vec<u8>]) -> Answer {
    let [key, iv, text] = inputs(all)?;
    with_cipher!(key, C => if params.encrypt {
        let cipher = cbc::Encryptor::<C>::new_from_slices(key, iv).map_err(refused)?;
        let mut out = text.to_vec();
        out.resize((text.len() / BLOCK_BYTES + 1) * BLOCK_BYTES, 0);
        cipher.encrypt_padded::<Pkcs7>(&mut out, text.len()).map_err(refused)?;
        Ok(vec![out])
    } else {
        let cipher = cbc::Decryptor::<C>::new_from_slices(key, iv).map_err(refused)?;
        let mut out = text.to_vec();
        let length = cipher.decrypt_padded::<Pkcs7>(&mut out).map_err(|_| operation("the data is not what was encrypted with this key"))?.len();
        if text.is_empty() {
            return Err(operation("AES-CBC never gives an empty text"));
        }
        out.truncate(length);
        Ok(vec![out])
    })
}

/// AES-CTR of a key, the first counter block and data. The counter is the block's last `counter_bits`.
pub fn ctr(params: &Params, all: &[Vec<u8>]) -> Answer {
    let [key, first, text] = inputs(all)?;
    let first: [u8; BLOCK_BYTES] = first.try_into().map_err(refused)?;
    let first = u128::from_be_bytes(first);
    let mask = if params.counter_bits >= 128 {
        u128::MAX
    } else {
        (1 << params.counter_bits) - 1
    };
    let blocks = text.len().div_ceil(BLOCK_BYTES) as u128;
    if blocks > 1 && blocks - 1 > mask {
        return Err(operation("more data than the counter can count"));
    }
    with_cipher!(key, C => {
        let cipher = C::new_from_slice(key).map_err(refused)?;
        let mut out = text.to_vec();
        for (index, chunk) in (0u128..).zip(out.chunks_mut(BLOCK_BYTES)) {
            let counter = (first & !mask) | (first.wrapping_add(index) & mask);
            let mut block = Block::from(counter.to_be_bytes());
            cipher.encrypt_block(&mut block);
            for (byte, key) in chunk.iter_mut().zip(block) {
                *byte ^= key;
            }
        }
        Ok(vec![out])
    })
}

/// AES-KW (RFC 3394) of a key and the key to wrap or unwrap.
pub fn wrap(params: &Params, all: &[Vec<u8>]) -> Answer {
    let [key, text] = inputs(all)?;
    let shortest = if params.encrypt { 16 } else { 24 };
    if text.len() < shortest || text.len() % 8 != 0 {
        return Err(operation("AES-KW wraps whole blocks of 8 bytes, at least two"));
    }
    with_cipher!(key, C => {
        let cipher = C::new_from_slice(key).map_err(refused)?;
        if params.encrypt { Ok(vec![wrap_with(&cipher, text)]) } else { unwrap_with(&cipher, text) }
    })
}

fn joined(high: [u8; 8], low: &[u8]) -> Block {
    let mut block = Block::default();
    block[..8].copy_from_slice(&high);
    block[8..].copy_from_slice(low);
    block
}

fn high_of(block: &Block) -> [u8; 8] {
    let mut high = [0; 8];
    high.copy_from_slice(&block[..8]);
    high
}

fn xored(register: [u8; 8], step: usize) -> [u8; 8] {
    (u64::from_be_bytes(register) ^ step as u64).to_be_bytes()
}

fn wrap_with(cipher: &impl BlockCipherEncrypt<BlockSize = U16>, text: &[u8]) -> Vec<u8> {
    let mut register = WRAP_START;
    let mut rest = text.to_vec();
    let count = rest.len() / 8;
    for round in 0..6 {
        for (index, piece) in rest.chunks_mut(8).enumerate() {
            let mut block = joined(register, piece);
            cipher.encrypt_block(&mut block);
            register = xored(high_of(&block), round * count + index + 1);
            piece.copy_from_slice(&block[8..]);
        }
    }
    [&register[..], &rest].concat()
}

fn unwrap_with(cipher: &impl BlockCipherDecrypt<BlockSize = U16>, text: &[u8]) -> Answer {
    let mut register = [0; 8];
    register.copy_from_slice(&text[..8]);
    let mut rest = text[8..].to_vec();
    let count = rest.len() / 8;
    for round in (0..6).rev() {
        for (index, piece) in rest.chunks_mut(8).enumerate().rev() {
            let mut block = joined(xored(register, round * count + index + 1), piece);
            cipher.decrypt_block(&mut block);
            register = high_of(&block);
            piece.copy_from_slice(&block[8..]);
        }
    }
    if register != WRAP_START {
        return Err(operation("the wrapped key is not what was wrapped with this key"));
    }
    Ok(vec![rest])
}
