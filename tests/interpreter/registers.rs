//! The registers of the nf_tables machine: 16 words, which begin undefined in every rule.

/// What one rule has loaded so far.
#[derive(Clone, Debug)]
pub struct Registers {
    bytes: [Option<u8>; 64],
}

impl Default for Registers {
    fn default() -> Self {
        Self { bytes: [None; 64] }
    }
}

impl Registers {
    /// Stores bytes from a register on; the rest of the last word becomes zero, as in the kernel. No bytes at all are
    /// refused there too.
    pub fn store(&mut self, register: u32, value: &[u8]) -> Result<(), String> {
        if value.is_empty() {
            return Err(format!("stores nothing in register {register}"));
        }
        let start = offset(register)?;
        let end = start + value.len().next_multiple_of(4);
        let target = self.bytes.get_mut(start..end).ok_or("writes beyond the last register")?;
        target.fill(Some(0));
        target.iter_mut().zip(value).for_each(|(byte, new)| *byte = Some(*new));
        Ok(())
    }

    /// Reads bytes from a register on. Reading what no expression of the rule has stored is an error.
    pub fn load(&self, register: u32, len: usize) -> Result<Vec<u8>, String> {
        let start = offset(register)?;
        let source = self.bytes.get(start..start + len).ok_or("reads beyond the last register")?;
        let all: Option<Vec<u8>> = source.iter().copied().collect();
        all.ok_or_else(|| format!("reads {len} bytes of register {register}, which nothing has stored"))
    }

    /// Every byte that is defined from a register on, up to the first that is not.
    pub fn tail(&self, register: u32) -> Result<Vec<u8>, String> {
        Ok(self.bytes[offset(register)?..].iter().map_while(|byte| *byte).collect())
    }
}

/// The distance of two registers in bytes.
pub fn distance(from: u32, to: u32) -> Result<usize, String> {
    offset(to)?.checked_sub(offset(from)?).ok_or_else(|| "registers in the wrong order".to_owned())
}

/// 1 to 4 are the old names of 16 bytes each; 8 to 23 those of 4 bytes each.
fn offset(register: u32) -> Result<usize, String> {
    match register {
        1..=4 => Ok((register as usize - 1) * 16),
        8..=23 => Ok((register as usize - 8) * 4),
        _ => Err(format!("there is no register {register}")),
    }
}
