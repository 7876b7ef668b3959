package fairlead

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Claim names one guarantee or ability, for example "kv.Watch". Package kv
// declares that claim as the constant kv.Watch, and so for every facet. The
// claims that any facet may make are declared here.
type Claim string

const (
	// DurableFsync: a write that was acknowledged has reached stable storage
	// of the server that acknowledged it, and survives that server's kill and
	// its loss of power. It does not promise to survive the loss of that server.
	DurableFsync Claim = "DurableFsync"
	// DurableQuorum: a write that was acknowledged has reached stable storage
	// of a majority of the servers, and survives the loss of any minority.
	DurableQuorum Claim = "DurableQuorum"
	// Shared: every Open of the same URL reaches the same data (in rpc: the
	// same servers), from any process that can reach the backend or, for a
	// backend that lives in memory, from this process.
	Shared Claim = "Shared"
)

// CommonClaims returns the claims that any facet may make.
func CommonClaims() []ClaimInfo {
	return []ClaimInfo{
		{DurableFsync, "an acknowledged write is on stable storage of the server that took it"},
		{DurableQuorum, "an acknowledged write is on stable storage of a majority of servers"},
		{Shared, "every Open of the same URL reaches the same data and servers"},
	}
}

// ClaimInfo is a claim with its rule in one line, for tables and reports.
type ClaimInfo struct {
	Claim Claim
	Rule  string
}

// Missing says why a guarantee does not hold.
type Missing struct {
	Claim  Claim
	Reason string // what was found, for example "appendfsync is everysec"
	Remedy string // what to change on the backend; empty if nothing can
}

// String returns "claim: reason; remedy".
func (m Missing) String() string {
	s := string(m.Claim)
	if m.Reason != "" {
		s += ": " + m.Reason
	}
	if m.Remedy != "" {
		s += "; " + m.Remedy
	}
	return s
}

// Basis says what a claim rests on that depends on the backend's settings.
type Basis struct {
	Claim  Claim
	Kind   BasisKind
	Detail string // what was read, or what was asserted, for example "assert-durable=true"
}

// BasisKind says how the provider knows the backend's settings.
type BasisKind string

const (
	// Verified: the provider has read the settings from the backend. It reads them
	// again from time to time.
	Verified BasisKind = "verified"
	// Asserted: the URL says what the settings are, and the provider cannot read
	// them. The claim is as good as the word of the person who wrote the URL.
	Asserted BasisKind = "asserted"
)

// Requirement is what a program demands of a facet when it opens it. A [Claim]
// is a Requirement; [TTLWithin] and [TxnOps] demand a limit.
type Requirement interface {
	// Check returns what is missing in d, and false if nothing is.
	Check(d FacetDescription) (Missing, bool)
}

// Check implements [Requirement].
func (c Claim) Check(d FacetDescription) (Missing, bool) {
	if d.Has(c) {
		return Missing{}, false
	}
	for _, m := range d.Missing {
		if m.Claim == c {
			return m, true
		}
	}
	return Missing{Claim: c, Reason: c.unknownReason(d)}, true
}

// unknownReason says why d has nothing about the claim: it belongs to another facet, is
// misspelled, or the provider does not know it.
func (c Claim) unknownReason(d FacetDescription) string {
	facet, _, ok := strings.Cut(string(c), ".")
	if ok && Facet(facet) != d.Facet && slices.Contains([]Facet{KV, PubSub, RPC, Config}, Facet(facet)) {
		return fmt.Sprintf("it is a claim of the facet %s; demand it there", facet)
	}
	if similar := c.similarClaims(d); len(similar) > 0 {
		return "this provider knows no claim of that name; similar: " + strings.Join(similar, ", ")
	}
	return "not claimed by this provider"
}

// similarClaims returns the claims that d names, and that have the name of c but for
// the facet, for capital letters, or for a part that is left out.
func (c Claim) similarClaims(d FacetDescription) []string {
	known := slices.Clone(d.Claims)
	for _, m := range d.Missing {
		known = append(known, m.Claim)
	}
	for _, common := range CommonClaims() {
		known = append(known, common.Claim)
	}
	wanted := c.bareName()
	var similar []string
	for _, k := range known {
		name := k.bareName()
		if wanted != "" && (strings.Contains(name, wanted) || strings.Contains(wanted, name)) && !slices.Contains(similar, string(k)) {
			similar = append(similar, string(k))
		}
	}
	slices.Sort(similar)
	return similar
}

// bareName returns the claim without its facet, in lower case.
func (c Claim) bareName() string {
	return strings.ToLower(string(c[strings.LastIndex(string(c), ".")+1:]))
}

type limitRequirement func(FacetDescription) (Missing, bool)

func (f limitRequirement) Check(d FacetDescription) (Missing, bool) { return f(d) }

// TTLWithin demands times to live with a resolution and a minimum of at most
// d.
func TTLWithin(d time.Duration) Requirement {
	return limitRequirement(func(f FacetDescription) (Missing, bool) {
		got := max(f.Limits.TTLResolution, f.Limits.MinTTL)
		reason := fmt.Sprintf("times to live are exact to %v, %v is required", got, d)
		return Missing{Claim: "TTLWithin", Reason: reason}, got == 0 || got > d
	})
}

// TxnOps demands transactions of at least n conditions and writes together.
func TxnOps(n int) Requirement {
	return limitRequirement(func(f FacetDescription) (Missing, bool) {
		got := f.Limits.MaxTxnOps
		reason := fmt.Sprintf("a transaction may hold %d operations, %d are required", got, n)
		return Missing{Claim: "TxnOps", Reason: reason}, got < n
	})
}

// CheckRequirements returns an [Unsupported] error that names every requirement that d
// does not meet, or nil.
func CheckRequirements(d FacetDescription, reqs []Requirement) error {
	var missing []string
	for _, r := range reqs {
		if m, lacks := r.Check(d); lacks {
			missing = append(missing, m.String())
		}
	}
	if missing == nil {
		return nil
	}
	return Errorf(Unsupported, "required of %s but missing: %s", d.Facet, strings.Join(missing, " | "))
}
