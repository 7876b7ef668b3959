package fairlead

import (
	"slices"
	"time"
)

// Facet is one of the four interfaces that a provider may offer.
type Facet string

// The facets.
const (
	KV     Facet = "kv"
	PubSub Facet = "pubsub"
	RPC    Facet = "rpc"
	Config Facet = "config"
)

// Facets returns the four facets in their usual order.
func Facets() []Facet { return []Facet{KV, PubSub, RPC, Config} }

// Description says what holds on one live backend. It is data: it crosses a
// process and is compared, printed and stored. The receiver owns it.
type Description struct {
	Provider string // the provider's name, for example "redis"
	System   string // db.system.name or messaging.system of the OpenTelemetry semantic conventions
	Version  string // the backend's own version, if known
	Endpoint string // host and port or the like, without credentials
	// Generation grows with every change of the description while the
	// provider is open. It starts at 1.
	Generation uint64
	// Notes are facts for the operator that no claim expresses, for example the
	// topology and its effect on durability.
	Notes []string
	// Volatile: the data lives in the process that opened the provider, and
	// is lost with it.
	Volatile bool
	Facets   []FacetDescription
}

// FacetDescription says what holds for one facet.
type FacetDescription struct {
	Facet   Facet
	Claims  []Claim   // what holds
	Missing []Missing // what does not hold, where the provider knows why
	// Bases say what claims rest on that depend on the backend's settings. A claim
	// without one rests on what the backend always does.
	Bases  []Basis
	Limits Limits
}

// Facet returns the description of one facet, and false if the provider does
// not offer it.
func (d Description) Facet(f Facet) (FacetDescription, bool) {
	for _, fd := range d.Facets {
		if fd.Facet == f {
			return fd, true
		}
	}
	return FacetDescription{}, false
}

// Has reports whether the claim holds.
func (d FacetDescription) Has(c Claim) bool { return slices.Contains(d.Claims, c) }

// Basis returns what a claim rests on, and false if it rests on what the backend
// always does, or does not hold.
func (d FacetDescription) Basis(c Claim) (Basis, bool) {
	for _, b := range d.Bases {
		if b.Claim == c {
			return b, true
		}
	}
	return Basis{}, false
}

// MaxDuration is the longest time to live, acknowledgement deadline and delay that
// any provider takes: 100 years of 365 days. The packages kv and pubsub answer a
// longer one with Invalid. A provider that takes less publishes its bound in its
// [Limits].
const MaxDuration = 876_000 * time.Hour

// Limits are the limits of a facet. The portable packages check them before
// anything is sent. Zero means that the limit does not apply, except where a
// field says otherwise. Sizes are in bytes.
type Limits struct {
	MaxKeyBytes   int // kv: longest key; at least 512 on every provider
	MaxValueBytes int // kv: longest value; at least 1,000,000 on every provider
	MaxTxnOps     int // kv: conditions and writes in one Txn
	// MaxBatch is the number of operations, messages or settlements that one
	// driver call takes; 0 means 1.
	MaxBatch int
	// Pipelines is the number of driver calls under way at once, for one
	// handle, into which the portable layer gathers the calls of concurrent
	// callers. 0: gathering gains nothing, and callers go straight through.
	Pipelines int
	// TTLResolution is the step to which times to live are rounded up, MinTTL
	// is the shortest one that is kept, and MaxTTL the longest; 0 means
	// [MaxDuration]. A shorter or longer one is Invalid.
	TTLResolution time.Duration
	MinTTL        time.Duration
	MaxTTL        time.Duration

	MaxMessageBytes int           // pubsub: body, metadata names and values, id and key together
	MinAckDeadline  time.Duration // pubsub: shortest acknowledgement deadline
	MaxAckDeadline  time.Duration // pubsub: longest acknowledgement deadline; 0 means MaxDuration
	MaxDelay        time.Duration // pubsub: longest delay of a Nack
	DedupeWindow    time.Duration // pubsub: how long an id is remembered

	MaxFrameBytes int // rpc: longest single message
}
