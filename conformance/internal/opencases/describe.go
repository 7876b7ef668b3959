package opencases

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"fairlead.dev"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/kv"
	"fairlead.dev/pubsub"
)

// describeCases are about descriptions.
var describeCases = []suite.Case{
	{
		Name: "open/describe-names",
		Rule: "a description names its provider and at least one known facet, names no facet twice, and has a generation",
		Run:  describeNames,
	},
	{
		Name: "open/claims-known",
		Rule: "every claimed and every missing claim is known for its facet, and none is named twice",
		Run:  claimsKnown,
	},
	{
		Name: "open/claims-or-missing",
		Rule: "no claim is both claimed and missing, and each missing claim has a reason",
		Run:  claimsOrMissing,
	},
	{
		Name: "open/claims-basis",
		Rule: "what a claim rests on is said once, of a claim that is made, as verified or asserted, with what was read or asserted",
		Run:  claimsBasis,
	},
	{
		Name: "open/durability-reason",
		Rule: "a facet that stores data claims durability or says why it does not",
		Run:  durabilityReason,
	},
	{
		Name: "open/limits-kv",
		Rule: "the limits of kv allow keys of 512 bytes and values of 1,000,000 bytes; limits of transactions and of times to live are set exactly if Txn and TTL are claimed",
		Run:  limitsKV,
	},
	{
		Name: "open/limits-pubsub",
		Rule: "the limits of pubsub allow bodies of 1,000 bytes and the default deadline; limits of delays and of duplicates are set exactly if NackDelay and Dedupe are claimed",
		Run:  limitsPubSub,
	},
	{
		Name: "open/limits-positive",
		Rule: "no limit is negative",
		Run:  limitsPositive,
	},
	{
		Name: "open/describe-stable",
		Rule: "descriptions of one generation are equal, and generations never decrease",
		Run:  describeStable,
	},
	{
		Name: "open/describe-json",
		Rule: "a description is the same after it was encoded to JSON and decoded",
		Run: func(t *suite.T) {
			d := describe(t, t.Provider())
			text, err := json.Marshal(d)
			t.Must(err)
			var back fairlead.Description
			t.Must(json.Unmarshal(text, &back))
			if !reflect.DeepEqual(d, back) {
				t.Errorf("the description is %+v; decoded from its JSON, it is %+v", d, back)
			}
		},
	},
	{
		Name: "open/describe-owned",
		Rule: "a caller may change the description that it got, and no other caller sees the change",
		Run:  describeOwned,
	},
	{
		Name: "open/no-credentials",
		Rule: "a description holds no user or password",
		Run: func(t *suite.T) {
			text, err := json.Marshal(describe(t, t.Provider()))
			t.Must(err)
			if found := credentials.Find(text); found != nil {
				t.Errorf("the description holds what looks like credentials: %d bytes with an @ after a colon", len(found))
			}
		},
	},
}

// credentials matches a URL with a user part, with or without its scheme.
var credentials = regexp.MustCompile(`[A-Za-z0-9+.-]+://[^/\s"]*@|[^\s"/:@]*:[^\s"/@]+@[^\s"]`)

func describe(t *suite.T, p fairlead.Provider) fairlead.Description {
	d, err := p.Describe(t.Context())
	t.Must(err)
	return d
}

func describeNames(t *suite.T) {
	d := describe(t, t.Provider())
	if d.Provider == "" || strings.ContainsAny(d.Provider, " \t\n/:@") {
		t.Errorf("the provider is named %q; want one word", d.Provider)
	}
	if len(d.Facets) == 0 {
		t.Errorf("no facet is described")
	}
	if d.Generation == 0 {
		t.Errorf("the generation is 0; the first one is 1")
	}
	seen := map[fairlead.Facet]bool{}
	for _, f := range d.Facets {
		if seen[f.Facet] {
			t.Errorf("the facet %s is described twice", f.Facet)
		}
		seen[f.Facet] = true
		if !slices.Contains(fairlead.Facets(), f.Facet) {
			t.Errorf("%q is not a facet", f.Facet)
		}
	}
}

func claimsKnown(t *suite.T) {
	for _, f := range describe(t, t.Provider()).Facets {
		known := map[fairlead.Claim]bool{}
		for _, info := range suite.ClaimsOf(f.Facet) {
			known[info.Claim] = true
		}
		check := func(what string, all []fairlead.Claim) {
			for i, c := range all {
				if !known[c] {
					t.Errorf("%s: the %s claim %q is not known", f.Facet, what, c)
				}
				if slices.Contains(all[:i], c) {
					t.Errorf("%s: %q is %s twice", f.Facet, c, what)
				}
			}
		}
		check("claimed", f.Claims)
		check("missing", missingClaims(f))
	}
}

func missingClaims(f fairlead.FacetDescription) []fairlead.Claim {
	var all []fairlead.Claim
	for _, m := range f.Missing {
		all = append(all, m.Claim)
	}
	return all
}

func claimsOrMissing(t *suite.T) {
	for _, f := range describe(t, t.Provider()).Facets {
		for _, m := range f.Missing {
			if f.Has(m.Claim) {
				t.Errorf("%s: %q is both claimed and missing", f.Facet, m.Claim)
			}
			if m.Reason == "" {
				t.Errorf("%s: %q is missing without a reason", f.Facet, m.Claim)
			}
		}
	}
}

func claimsBasis(t *suite.T) {
	for _, f := range t.Description().Facets {
		said := map[fairlead.Claim]bool{}
		for _, b := range f.Bases {
			if !f.Has(b.Claim) || said[b.Claim] || b.Detail == "" || b.Kind != fairlead.Verified && b.Kind != fairlead.Asserted {
				t.Errorf("%s: %+v: the claim is not made, or has another basis, or the basis has no detail or another kind than verified and asserted", f.Facet, b)
			}
			said[b.Claim] = true
		}
	}
}

func durabilityReason(t *suite.T) {
	for _, f := range describe(t, t.Provider()).Facets {
		if f.Facet == fairlead.RPC {
			continue // it stores nothing
		}
		for _, c := range []fairlead.Claim{fairlead.DurableFsync, fairlead.DurableQuorum} {
			if !f.Has(c) && !slices.Contains(missingClaims(f), c) {
				t.Errorf("%s: %s is neither claimed nor missing with a reason", f.Facet, c)
			}
		}
	}
}

func limitsKV(t *suite.T) {
	f, offered := describe(t, t.Provider()).Facet(fairlead.KV)
	if !offered {
		return
	}
	l := f.Limits
	if l.MaxKeyBytes < 512 || l.MaxValueBytes < 1_000_000 {
		t.Errorf("keys of %d and values of %d bytes are too short", l.MaxKeyBytes, l.MaxValueBytes)
	}
	if f.Has(kv.Txn) != (l.MaxTxnOps > 0) {
		t.Errorf("%s claimed: %v; MaxTxnOps: %d", kv.Txn, f.Has(kv.Txn), l.MaxTxnOps)
	}
	if f.Has(kv.TTL) != (l.TTLResolution > 0) || (l.MinTTL > 0 && !f.Has(kv.TTL)) {
		t.Errorf("%s claimed: %v; TTLResolution: %v, MinTTL: %v", kv.TTL, f.Has(kv.TTL), l.TTLResolution, l.MinTTL)
	}
}

func limitsPubSub(t *suite.T) {
	f, offered := describe(t, t.Provider()).Facet(fairlead.PubSub)
	if !offered {
		return
	}
	l := f.Limits
	if l.MaxMessageBytes < 1000 {
		t.Errorf("messages of %d bytes are too short", l.MaxMessageBytes)
	}
	if l.MinAckDeadline <= 0 || l.MinAckDeadline > pubsub.DefaultAckDeadline {
		t.Errorf("the shortest acknowledgement deadline is %v; want more than 0, and at most the default of %v", l.MinAckDeadline, pubsub.DefaultAckDeadline)
	}
	if f.Has(pubsub.NackDelay) != (l.MaxDelay > 0) {
		t.Errorf("%s claimed: %v; MaxDelay: %v", pubsub.NackDelay, f.Has(pubsub.NackDelay), l.MaxDelay)
	}
	if f.Has(pubsub.Dedupe) != (l.DedupeWindow > 0) {
		t.Errorf("%s claimed: %v; DedupeWindow: %v", pubsub.Dedupe, f.Has(pubsub.Dedupe), l.DedupeWindow)
	}
}

func limitsPositive(t *suite.T) {
	for _, f := range describe(t, t.Provider()).Facets {
		limits := reflect.ValueOf(f.Limits)
		for i := range limits.NumField() {
			if limits.Field(i).Int() < 0 {
				t.Errorf("%s: the limit %s is %d", f.Facet, limits.Type().Field(i).Name, limits.Field(i).Int())
			}
		}
	}
}

func describeStable(t *suite.T) {
	before := describe(t, t.Provider())
	for range 20 {
		now := describe(t, t.Provider())
		if now.Generation == before.Generation && !reflect.DeepEqual(now, before) {
			t.Fatalf("generation %d was %+v and is %+v", now.Generation, before, now)
		}
		if now.Generation < before.Generation {
			t.Fatalf("the generation decreased from %d to %d", before.Generation, now.Generation)
		}
		before = now
		time.Sleep(2 * time.Millisecond)
	}
}

func describeOwned(t *suite.T) {
	changed := describe(t, t.Provider())
	generation, want := changed.Generation, fmt.Sprintf("%+v", changed)
	for i := range changed.Notes {
		changed.Notes[i] = "changed"
	}
	for i, f := range changed.Facets {
		for j := range f.Claims {
			f.Claims[j] = "changed"
		}
		for j := range f.Missing {
			f.Missing[j].Reason = "changed"
		}
		changed.Facets[i] = fairlead.FacetDescription{}
	}
	got := describe(t, t.Provider())
	if got.Generation == generation && fmt.Sprintf("%+v", got) != want {
		t.Errorf("another caller sees a caller's change to its description: %+v", got)
	}
}
