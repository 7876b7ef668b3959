package gocloud

import (
	"cmp"
	"time"

	"fairlead.dev"
	configdriver "fairlead.dev/config/driver"
	kvdriver "fairlead.dev/kv/driver"
	psdriver "fairlead.dev/pubsub/driver"
)

const (
	maxKeyBytes     = 1024
	maxBatch        = 100
	maxDelay        = 12 * time.Hour
	defaultMessage  = 256_000
	defaultMaxValue = 1_000_000
	// minAckDeadline: what gocloud.dev fetches comes in spurts, a quarter of a
	// second apart or more. Of messages that are received together, the first
	// must not come again before the last is there.
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
		d.Facets = append(d.Facets, kvFacet(b))
	}
	if b.PubSub != nil {
		d.Facets = append(d.Facets, pubsubFacet(b))
	}
	if b.Vars != nil {
		d.Facets = append(d.Facets, configFacet(b))
	}
	return d
}

// claims collects what holds and what does not.
type claims struct{ fairlead.FacetDescription }

// say claims c if it holds, and gives the reason if not.
func (f *claims) say(c fairlead.Claim, holds bool, reason, remedy string) {
	if holds {
		f.Claims = append(f.Claims, c)
		return
	}
	f.Missing = append(f.Missing, fairlead.Missing{Claim: c, Reason: reason, Remedy: remedy})
}

// never says why claims never hold.
func (f *claims) never(reason string, all ...fairlead.Claim) {
	for _, c := range all {
		f.say(c, false, reason, "")
	}
}

func (f *claims) common(b *Backend) {
	lost := "no driver of gocloud.dev tells what its backend has stored"
	remedy := "if you know that it holds, add durable=fsync or durable=quorum to the URL"
	if b.Volatile {
		lost, remedy = "everything is lost when the process ends", "use a backend that stores"
	}
	f.say(fairlead.DurableFsync, b.Durable == "fsync" || b.Durable == "quorum", lost, remedy)
	f.say(fairlead.DurableQuorum, b.Durable == "quorum", lost, remedy)
	f.say(fairlead.Shared, b.Shared, "every Open of this URL has a backend of its own", "give it a name, as gocloud+mem://NAME")
}

func kvFacet(b *Backend) fairlead.FacetDescription {
	f := claims{fairlead.FacetDescription{Facet: fairlead.KV, Limits: fairlead.Limits{
		MaxKeyBytes:   maxKeyBytes,
		MaxValueBytes: max(b.Docs.MaxValueBytes, defaultMaxValue),
		MaxBatch:      maxBatch,
	}}}
	f.say(kvdriver.ClaimCAS, true, "", "")
	f.say(kvdriver.ClaimLinearizableRead, b.Docs.Linearizable, "docstore promises no consistency of reads", "")
	f.say(kvdriver.ClaimList, b.Docs.Ordered, "this driver does not order documents by their key", "")
	f.say(kvdriver.ClaimManage, b.Docs.DeleteCollection != nil, "gocloud.dev cannot list or delete collections", "")
	f.never("docstore's atomic writes take no conditions on other documents, and are not atomic with every driver", kvdriver.ClaimTxn)
	f.never("docstore has no times to live", kvdriver.ClaimTTL, kvdriver.ClaimExpiryEvents)
	f.never("docstore cannot watch", kvdriver.ClaimWatch, kvdriver.ClaimWatchEvery, kvdriver.ClaimWatchTxn)
	f.never("docstore's queries show no one moment", kvdriver.ClaimSnapshotList)
	f.common(b)
	return f.FacetDescription
}

func pubsubFacet(b *Backend) fairlead.FacetDescription {
	ps := b.PubSub
	f := claims{fairlead.FacetDescription{Facet: fairlead.PubSub, Limits: fairlead.Limits{
		MaxMessageBytes: ps.maxMessage(),
		MaxBatch:        maxBatch,
		MinAckDeadline:  minAckDeadline,
	}}}
	f.say(psdriver.ClaimBroadcast, ps.Broadcast, "gocloud.dev cannot make a subscription of one consumer", "")
	f.say(psdriver.ClaimManage, ps.DeleteTopic != nil, "gocloud.dev cannot list or delete topics", "")
	f.say(psdriver.ClaimFencedAck, ps.Local, "an acknowledgement is sent without an answer: one that comes too late is not told", "")
	limited := "the backend gives a message to somebody else after its own deadline, which gocloud.dev cannot move"
	f.say(psdriver.ClaimExtend, ps.AckDeadline == 0, limited, "")
	f.say(psdriver.ClaimNackDelay, ps.AckDeadline == 0, limited, "")
	if ps.AckDeadline == 0 {
		f.Limits.MaxDelay = cmp.Or(ps.MaxDelay, maxDelay)
	}
	f.never("gocloud.dev sends acknowledgements in the background and has no answer to them", psdriver.ClaimConfirmedAck)
	f.never("gocloud.dev promises no order", psdriver.ClaimOrdered, psdriver.ClaimOrderedByKey)
	f.never("a subscription of gocloud.dev begins when it is made",
		psdriver.ClaimReplayStart, psdriver.ClaimReplayTime, psdriver.ClaimReplayPosition)
	f.never("gocloud.dev does not count deliveries", psdriver.ClaimDeliveryCount)
	f.never("gocloud.dev knows no message ids", psdriver.ClaimDedupe)
	f.never("the messages of a batch of gocloud.dev are stored one by one", psdriver.ClaimAtomicBatch)
	f.common(b)
	return f.FacetDescription
}

func (ps *PubSub) maxMessage() int {
	if ps.MaxMessageBytes > 0 {
		return ps.MaxMessageBytes
	}
	return defaultMessage
}

func configFacet(b *Backend) fairlead.FacetDescription {
	f := claims{fairlead.FacetDescription{Facet: fairlead.Config}}
	f.say(configdriver.ClaimSnapshot, true, "", "")
	f.say(configdriver.ClaimDeleteVisible, true, "", "")
	f.never("runtimevar only reads",
		configdriver.ClaimWrite, configdriver.ClaimAtomicSet, configdriver.ClaimCompareAndSet)
	f.common(b)
	return f.FacetDescription
}
