#!/bin/bash
# Deletes properties that soundness rests on from the source, and demands that the named test fails.
#
#     circuits/deletions.sh [GROUP...]
#
# Slow (a build a group), by hand; needs a clean work tree, and puts every file back as it was. The deletions of a group are
# made at once: none touches what another's test looks at. docs/soundness-tests.md lists what each build tests by itself.
set -u
cd "$(dirname "$0")/.."

# group | package and target | file | substitution (perl) | test that must fail
deletions=$(cat <<'LIST'
phases|tensorseal-circuits --lib|circuits/src/circuit/gates.rs|s/challenge_usable_after\(SecondPhase\)/challenge_usable_after(FirstPhase)/|soundness::deletions::the_gates_are_those_of_the_docs
phases|tensorseal-circuits --lib|circuits/src/layout/tables.rs|s/LIMB_TAG \+ 1/LIMB_TAG/g; s/tag - LIMB_TAG - 1/tag - LIMB_TAG/|soundness::columns::honest_layouts_are_accepted
phases|tensorseal-circuits --lib|circuits/src/quantize/bounds.rs|s/\.max\(peak\)//|bounds::tests::sums_end_below_two_to_the_62
phases|tensorseal-circuits --lib|circuits/src/validate.rs|s/ && v\.cout == c\n/\n/|validate::tests::each_check_refuses_what_violates_it_alone
phases|tensorseal-circuits --lib|circuits/src/hash/mod.rs|s/Fr::from\(u64::from\(self\.bits\)\)/Fr::ZERO/|hash::tests::tags_name_number_width_and_range
phases|tensorseal-circuits --lib|circuits/src/layout/public.rs|s/if !used\[lane\]\[row\] &&/if false \&\& !used[lane][row] \&\&/|public::tests::each_slot_that_stands_for_nothing_is_zero
sums|tensorseal-circuits --lib|circuits/src/circuit/gates.rs|s/ends \* sums/first.clone() * sums/|soundness::forgeries::the_last_row_alone_rejects_values_outside_the_tables
sums|tensorseal-circuits --lib|circuits/src/layout/planner.rs|s/Function::Input\(\*lo, \*hi\), \(\*lo, \*hi\)/Function::Input(*lo, *hi), (*lo, *hi + 1)/|soundness::columns::honest_layouts_are_accepted
sums|tensorseal-circuits --lib|circuits/src/quantize/bounds.rs|s/\(lo\.min\(0\), hi\.max\(0\)\)/(lo, hi)/|bounds::tests::sums_reach_what_they_reach_and_no_more
sums|tensorseal-circuits --lib|circuits/src/validate.rs|s/if twice/if false \&\& twice/|validate::tests::each_check_refuses_what_violates_it_alone
sums|tensorseal-circuits --lib|circuits/src/hash/mod.rs|s/ELEMENT_BITS: u32 = 248/ELEMENT_BITS: u32 = 256/|hash::tests::packing_is_injective
sums|tensorseal-circuits --lib|circuits/src/layout/public.rs|s/let mut out = vec!\[Fr::ZERO; values/let mut out = vec![Fr::ONE; values/|public::tests::scalars_stand_on_the_first_of_folded_rows
ranges|tensorseal-circuits --lib|circuits/src/layout/plan.rs|s/base \+= range;/base += range - profile.lanes;/|soundness::columns::honest_layouts_are_accepted
ranges|tensorseal-circuits --lib|circuits/src/circuit/gates.rs|s/gates\.into_iter\(\)\.map\(\|g\| base/gates.into_iter().enumerate().map(|(i, g)| if i == 3 { g } else { base/; s/base\.clone\(\) \* g\)\.collect/base.clone() * g }).collect/|soundness::deletions::the_gates_are_those_of_the_docs
ranges|tensorseal-circuits --lib|circuits/src/quantize/bounds.rs|s/reach >= LIMIT/reach > LIMIT/|bounds::tests::sums_end_below_two_to_the_62
ranges|tensorseal-circuits --lib|circuits/src/validate.rs|s/\*lo > 0 \|\| //|validate::tests::each_check_refuses_what_violates_it_alone
limbs|tensorseal-circuits --lib|circuits/src/layout/tables.rs|s/limb_rows: 1 << limb_bits/limb_rows: (1 << limb_bits) + 1/|soundness::columns::honest_layouts_are_accepted
limbs|tensorseal-circuits --lib|circuits/src/circuit/gates.rs|s/\+ zeta2\.clone\(\) \* tag/+ zeta.clone() * tag/|soundness::deletions::the_gates_are_those_of_the_docs
limbs|tensorseal-circuits --lib|circuits/src/ports.rs|s/rounded\.clamp\(\*lo, \*hi\)/rounded/|ports::tests::inputs_round_to_even_clamp_and_follow_the_order
limbs|tensorseal-circuits --lib|circuits/src/quantize/bounds.rs|s/\(x\.0 - m\.1, x\.1\)/(x.0, x.1)/|bounds::tests::shifts_windows_and_tables_follow
windows|tensorseal-circuits --lib|circuits/src/layout/rows.rs|s/if goes_on \{/if false \&\& goes_on {/|soundness::columns::honest_layouts_are_accepted
blinding|tensorseal-prover --lib|prover/src/fast/mod.rs|s/\(usable\.\.n\)\.map\(\|_\| Fr::random\(&mut rng\)\)/(usable..n).map(|_| Fr::random(&mut rng) * Fr::ZERO)/|fast::tests::every_whole_column_is_blinded
blinding|tensorseal-prover --lib|prover/src/transcript.rs|s/\.filter\(\|point\| !bool::from\(point\.is_identity\(\)\)\)/.filter(|point| true || !bool::from(point.is_identity()))/|transcript::tests::refuses_other_encodings
instances|tensorseal-prover --test main|prover/src/verify.rs|s/if values\.len\(\) != \*rows/if false \&\& values.len() != *rows/|wrong_public_values_are_rejected
instances|tensorseal-prover --test main|prover/src/keys/mod.rs|s/if halo2\.transcript_repr\(\) != stored_repr/if false \&\& halo2.transcript_repr() != stored_repr/|damaged_keys_are_refused
verify|tensorseal --lib|cli/src/pipeline/proof.rs|s/\*value != 0 && !used/false \&\& *value != 0 \&\& !used/|proof::tests::words_that_stand_for_nothing_are_zero
verify|tensorseal --lib|cli/src/pipeline/proof.rs|s/if expected != got/if false \&\& expected != got/|proof::tests::digests_are_counted
LIST
)

# The substitutions hold bars themselves: three fields stand in front of them, one behind.
read_line() {
  IFS='|' read -r _ target file _ <<<"$1"
  test=${1##*|} change=${1#*|*|*|}
  change=${change%|*}
}

groups=("$@")
[ $# -gt 0 ] || mapfile -t groups < <(cut -d'|' -f1 <<<"$deletions" | uniq)
failures=0
for group in "${groups[@]}"; do
  list=$(grep "^$group|" <<<"$deletions")
  files=()
  while read -r line; do
    read_line "$line"
    git diff --quiet -- "$file" || [[ " ${files[*]} " == *" $file "* ]] || { echo "$file has changes"; exit 2; }
    before=$(sha256sum "$file")
    perl -0pi -e "$change" "$file"
    files+=("$file")
    [ "$before" != "$(sha256sum "$file")" ] || { echo "STALE $file: $change"; failures=$((failures + 1)); }
  done <<<"$list"
  if cargo test -q -p $target --no-run 2>target/deletions.log; then
    while read -r line; do
      read_line "$line"
      ran=$(cargo test -q -p $target "$test" 2>&1) && verdict=SURVIVES || verdict=caught
      grep -q "running [1-9]" <<<"$ran" || verdict="NO TEST"
      [ "$verdict" = caught ] || failures=$((failures + 1))
      echo "$verdict $file: $change ($test)"
    done <<<"$list"
  else
    echo "DOES NOT COMPILE: $group, see target/deletions.log"
    failures=$((failures + 1))
  fi
  git checkout -q -- "${files[@]}"
done
exit $((failures > 0))
