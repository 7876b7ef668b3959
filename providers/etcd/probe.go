package etcd

import (
	"cmp"
	"context"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"fairlead.dev"

	"fairlead.dev/providers"
)

// keepDescription probes the cluster until the provider is closed.
func (p *provider) keepDescription() {
	p.Keep(p.life.Context(), providers.Probing{
		Probe: p.probeDescription, Every: p.config.probeInterval, Timeout: 2 * p.config.requestTimeout, Logger: p.logger,
	})
}

// probeDescription describes what a probe finds.
func (p *provider) probeDescription(ctx context.Context) (fairlead.Description, error) {
	return providers.DescribeState(p.probe, p.describe)(ctx)
}

// probe asks the cluster about its state.
func (p *provider) probe(ctx context.Context) (st state, err error) {
	if err := p.ping(ctx); err != nil {
		return state{}, err
	}
	if st.txnOps, err = p.probeTxnOps(ctx); err != nil {
		return state{}, err
	}
	p.prober.txnOps.Store(int64(st.txnOps))
	urls := p.config.urls()
	st.members, err = p.members(ctx)
	switch fairlead.CodeOf(err) {
	case 0:
		for _, m := range st.members {
			urls = append(urls, m.urls...)
		}
	case fairlead.PermissionDenied:
		st.hidden = err.Error()
	default:
		return state{}, err
	}
	slices.Sort(urls)
	return st, p.probeMembers(ctx, &st, slices.Compact(urls))
}

// ping checks that the user may read the keys of the provider.
func (p *provider) ping(ctx context.Context) error {
	_, err := p.readRange(ctx, &pb.RangeRequest{Key: []byte(p.registry("")), Limit: 1, KeysOnly: true})
	return err
}

// member is a member of the cluster that votes.
type member struct {
	id   uint64
	name string
	urls []string // of its clients
}

// members lists the voting members.
func (p *provider) members(ctx context.Context) (voters []member, err error) {
	var list *pb.MemberListResponse
	err = p.calls.Read(ctx, func(ctx context.Context) (err error) {
		list, err = p.cluster.MemberList(ctx, &pb.MemberListRequest{Linearizable: true})
		return err
	})
	for _, m := range list.GetMembers() {
		if !m.IsLearner {
			voters = append(voters, member{id: m.ID, name: m.Name, urls: m.ClientURLs})
		}
	}
	return voters, err
}

// probeMembers finds out whether the members fsync their logs.
func (p *provider) probeMembers(ctx context.Context, st *state, urls []string) error {
	if p.prober.minTTL == 0 {
		if err := p.probeTTL(ctx); err != nil {
			return err
		}
	}
	samples, failures, err := p.prober.awaitVerdicts(ctx, urls, p.probeTTL)
	if err != nil {
		return err
	}
	st.failures, st.minTTL = failures, cmp.Or(p.prober.minTTL, usualMinTTL)
	for _, s := range samples {
		st.nearlyFull = st.nearlyFull || s.isNearlyFull()
		if st.version == "" || s.version < st.version {
			st.version = s.version
		}
	}
	for i := range st.members {
		v := p.prober.verdictOf(st.members[i].id)
		st.verdicts = append(st.verdicts, v)
		if st.version == "" {
			st.version = v.last.version
		}
	}
	return nil
}

// usualMinTTL is the shortest time to live with etcd's default --election-timeout. A
// full database grants no lease that tells.
const usualMinTTL = 2 * time.Second

// probeTTL learns the shortest time to live by asking for a shorter one. It
// makes each member write to its log, and leaves nothing.
func (p *provider) probeTTL(ctx context.Context) error {
	granted, err := p.grant(ctx, &pb.LeaseGrantRequest{TTL: 1})
	switch {
	case isFull(err):
		return p.writeNothing(ctx)
	case err != nil:
		return err
	}
	p.prober.minTTL = time.Duration(granted.TTL) * time.Second
	return p.revoke(ctx, granted.ID)
}

// writeNothing makes each member write to its log, and changes nothing: it deletes
// a key that nothing writes. A full database does so, too.
func (p *provider) writeNothing(ctx context.Context) error {
	key := []byte(p.config.prefix + "/probe")
	return asUnavailable(p.deleteRange(ctx, key, append(key, 0)), "probing")
}

// probeTxnOps learns how many operations a transaction may have, by reading the
// same key as often.
func (p *provider) probeTxnOps(ctx context.Context) (int, error) {
	low, high := 1, wantedTxnOps
	for try := high; low < high; try = (low + high + 1) / 2 {
		r := &pb.TxnRequest{}
		for range try {
			r.Success = append(r.Success, rangeOp(&pb.RangeRequest{Key: []byte(p.registry("")), KeysOnly: true, Serializable: true}))
		}
		_, err := p.readTxn(ctx, r)
		switch fairlead.CodeOf(err) {
		case 0:
			low = try
		case fairlead.TooLarge:
			high = try - 1
		default:
			return 0, err
		}
	}
	return low, nil
}
