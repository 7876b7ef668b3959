package gocloud

import (
	"cmp"
	"time"

	"fairlead.dev"
	configdriver "fairlead.dev/config/driver"
	kvdriver "fairlead.dev/kv/driver"
	"fairlead.dev/providers"
	psdriver "fairlead.dev/pubsub/driver"
)

const (
	maxKeyBytes       = 1024
	maxBatch          = 100
	maxDelay          = 12 * time.Hour
	defaultMaxMessage = 256_000
	defaultMaxValue   = 1_000_000
	// minAckDeadline: gocloud.dev fetches messages in bursts, a quarter of a
	// second apart or more. When several messages are received together, the
	// lease of the first must not end before the last has arrived.
	minAckDeadline = 2 * time.Second
)

func describe(b *Backend) fairlead.Description {
	d := fairlead.Description{
		Provider: "gocloud",
		System:   b.System,
		Version:  b.Version,
		Endpoint: b.Endpoint,
		Notes:    b.Notes,
		Volatile: b.Volatile,
	}
	if b.Docs != nil {
		d.Facets = append(d.Facets, describeKV(b))
	}
	if b.PubSub != nil {
		d.Facets = append(d.Facets, describePubSub(b))
	}
	if b.Vars != nil {
		d.Facets = append(d.Facets, describeConfig(b))
	}
	return d
}

// facet is a description under construction.
type facet struct{ fairlead.FacetDescription }

// settle claims c if it holds, with what it rests on, and says why if it does not.
func (f *facet) settle(c fairlead.Claim, holds bool, reason, remedy string, on ...fairlead.Basis) {
	var lacks []providers.Lack
	if !holds {
		lacks = append(lacks, providers.Lack{Reason: reason, Remedy: remedy})
	}
	providers.SettleClaim(&f.FacetDescription, c, lacks, on...)
}

// disclaim says why claims never hold.
func (f *facet) disclaim(reason string, all ...fairlead.Claim) {
	for _, c := range all {
		f.settle(c, false, reason, "")
	}
}

// settleCommon settles the claims that all facets have.
func (f *facet) settleCommon(b *Backend) {
	reason := "no driver of gocloud.dev reports what its backend has stored"
	remedy := "if you know that it holds, add durable=fsync or durable=quorum to the URL"
	if b.Volatile {
		reason, remedy = "all data is lost when the process ends", "use a backend that stores data"
	}
	asserted := providers.Asserted("durable=" + b.Durable)
	f.settle(fairlead.DurableFsync, b.Durable == "fsync" || b.Durable == "quorum", reason, remedy, asserted)
	f.settle(fairlead.DurableQuorum, b.Durable == "quorum", reason, remedy, asserted)
	f.settle(fairlead.Shared, b.Shared, "every Open of this URL has a backend of its own", "name the backend, for example gocloud+mem://NAME")
}

func describeKV(b *Backend) fairlead.FacetDescription {
	f := facet{fairlead.FacetDescription{Facet: fairlead.KV, Limits: fairlead.Limits{
		MaxKeyBytes:   maxKeyBytes,
		MaxValueBytes: max(b.Docs.MaxValueBytes, defaultMaxValue),
		MaxBatch:      maxBatch,
	}}}
	f.settle(kvdriver.ClaimCAS, true, "", "")
	f.settle(kvdriver.ClaimLinearizableRead, b.Docs.Linearizable, "docstore promises no consistency of reads", "")
	f.settle(kvdriver.ClaimList, b.Docs.Ordered, "this driver does not order documents by their key", "")
	f.settle(kvdriver.ClaimManage, b.Docs.DeleteCollection != nil, "gocloud.dev cannot list or delete collections", "")
	f.disclaim("docstore's atomic writes take no conditions on other documents, and are not atomic with every driver", kvdriver.ClaimTxn)
	f.disclaim("docstore has no times to live", kvdriver.ClaimTTL, kvdriver.ClaimExpiryEvents)
	f.disclaim("docstore cannot watch", kvdriver.ClaimWatch, kvdriver.ClaimWatchEvery, kvdriver.ClaimWatchTxn)
	f.disclaim("docstore's queries are not snapshots", kvdriver.ClaimSnapshotList)
	f.settleCommon(b)
	return f.FacetDescription
}

func describePubSub(b *Backend) fairlead.FacetDescription {
	ps := b.PubSub
	f := facet{fairlead.FacetDescription{Facet: fairlead.PubSub, Limits: fairlead.Limits{
		MaxMessageBytes: ps.maxMessageBytes(),
		MaxBatch:        maxBatch,
		MinAckDeadline:  minAckDeadline,
		MaxAckDeadline:  ps.AckDeadline,
	}}}
	f.settle(psdriver.ClaimBroadcast, ps.Broadcast, "gocloud.dev cannot create a subscription for one consumer", "")
	f.settle(psdriver.ClaimManage, ps.DeleteTopic != nil, "gocloud.dev cannot list or delete topics", "")
	f.settle(psdriver.ClaimFencedAck, ps.Local, "an acknowledgement has no answer: one that comes too late is not reported", "")
	limited := "the backend delivers a message again after its own deadline, which gocloud.dev cannot extend"
	f.settle(psdriver.ClaimExtend, ps.AckDeadline == 0, limited, "")
	f.settle(psdriver.ClaimNackDelay, ps.AckDeadline == 0, limited, "")
	if ps.AckDeadline == 0 {
		f.Limits.MaxDelay = cmp.Or(ps.MaxDelay, maxDelay)
	}
	f.disclaim("gocloud.dev sends acknowledgements in the background and has no answer to them", psdriver.ClaimConfirmedAck)
	f.disclaim("gocloud.dev promises no order", psdriver.ClaimOrdered, psdriver.ClaimOrderedByKey)
	f.disclaim("a subscription of gocloud.dev begins when it is created",
		psdriver.ClaimReplayStart, psdriver.ClaimReplayTime, psdriver.ClaimReplayPosition)
	f.disclaim("gocloud.dev does not count deliveries", psdriver.ClaimDeliveryCount)
	f.disclaim("gocloud.dev has no message ids", psdriver.ClaimDedupe)
	f.disclaim("the messages of a batch of gocloud.dev are stored one by one", psdriver.ClaimAtomicBatch)
	f.settleCommon(b)
	return f.FacetDescription
}

func (ps *PubSub) maxMessageBytes() int {
	if ps.MaxMessageBytes > 0 {
		return ps.MaxMessageBytes
	}
	return defaultMaxMessage
}

func describeConfig(b *Backend) fairlead.FacetDescription {
	f := facet{fairlead.FacetDescription{Facet: fairlead.Config}}
	f.settle(configdriver.ClaimSnapshot, true, "", "")
	f.settle(configdriver.ClaimDeleteVisible, true, "", "")
	f.disclaim("runtimevar cannot write",
		configdriver.ClaimWrite, configdriver.ClaimAtomicSet, configdriver.ClaimCompareAndSet)
	f.settleCommon(b)
	return f.FacetDescription
}
