package remote

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"fairlead.dev"
	"fairlead.dev/plugins/internal/convert"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	"fairlead.dev/pubsub/driver"
)

// subscription implements the pubsub driver's Subscription. Its tokens begin
// with the number of the session: what was delivered in an earlier one comes
// again, and cannot be settled any more.
type subscription struct {
	*handle
	config   driver.SubscriptionConfig
	replays  bool // the provider can start behind a position
	volatile func() bool

	mu       sync.Mutex
	progress progress // of a broadcast
	gap      bool     // to be reported
}

// OpenSubscription implements the pubsub driver's Provider.
func (p *provider) OpenSubscription(ctx context.Context, c driver.SubscriptionConfig) (driver.Subscription, error) {
	d, err := p.Describe(ctx)
	if err != nil {
		return nil, err
	}
	f, _ := d.Facet(fairlead.PubSub)
	s := &subscription{config: c, replays: f.Has(driver.ClaimReplayPosition), volatile: p.volatile}
	if s.handle, err = newHandle(ctx, p, nil, s.request); err != nil {
		return nil, err
	}
	return s, nil
}

// request opens the subscription. A group goes on where it was; a broadcast
// goes on behind what was settled, as far as that is known.
func (s *subscription) request(why occasion) (*pluginpb.Call, error) {
	c := s.config
	if why == another {
		s.mu.Lock()
		c = s.resumed()
		s.mu.Unlock()
	}
	return &pluginpb.Call{Body: &pluginpb.Call_PubsubOpenSubscription{PubsubOpenSubscription: convert.FromSubscription(c)}}, nil
}

func (s *subscription) resumed() driver.SubscriptionConfig {
	c := s.config
	position, any := s.progress.restart()
	switch {
	case s.volatile():
		s.gap = true
	case c.Group != "":
	case position != "" && s.replays:
		c.Start, c.Position = driver.StartPosition, position
	case !any && c.Start != driver.StartNew:
	default: // what came since it was opened is not known
		s.gap = true
	}
	return c
}

// Receive implements the pubsub driver's Subscription.
func (s *subscription) Receive(ctx context.Context, limit int) ([]driver.Delivery, error) {
	s.p.wait(ctx)
	at, id, err := s.at(ctx)
	if err == nil {
		err = s.reported()
	}
	if err != nil {
		return nil, err
	}
	r, err := s.p.do(ctx, at.session, &pluginpb.Call{
		Handle: id, Body: &pluginpb.Call_PubsubReceive{PubsubReceive: &pluginpb.PubSubReceive{Limit: int64(limit)}},
	}, false, func(r *pluginpb.Reply) { s.p.giveBack(at.session, id, r) })
	if err != nil {
		return nil, err
	}
	ds := convert.ToDeliveries(r.GetPubsubDeliveries())
	if len(ds) == 0 {
		return nil, fairlead.Errorf(fairlead.Internal, "the plugin answered without a message")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range ds {
		ds[i].Token = fmt.Sprintf("%d:%s", at.number, ds[i].Token)
		if s.config.Group == "" {
			s.progress.delivered(ds[i].Token, ds[i].Position)
		}
	}
	return ds, nil
}

// reported returns a gap that was not reported before.
func (s *subscription) reported() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.gap {
		return nil
	}
	s.gap = false
	return fairlead.Errorf(fairlead.Compacted, "the plugin was started anew, and messages that came meanwhile may be missing")
}

// giveBack returns to their group messages that came for a caller who is gone.
func (p *provider) giveBack(at *Session, id uint64, r *pluginpb.Reply) {
	var all []driver.Settlement
	for _, d := range r.GetPubsubDeliveries().GetDeliveries() {
		all = append(all, driver.Settlement{Token: string(d.Token), Kind: driver.Nack})
	}
	if all == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, _ = p.do(ctx, at, &pluginpb.Call{Handle: id, Body: &pluginpb.Call_PubsubSettle{PubsubSettle: convert.FromSettlements(all)}}, true, nil)
}

// Settle implements the pubsub driver's Subscription.
func (s *subscription) Settle(ctx context.Context, all []driver.Settlement) []error {
	at, id, err := s.at(ctx)
	errs := make([]error, len(all))
	if err != nil {
		return fill(errs, err)
	}
	var valid []driver.Settlement
	var places []int
	for i, st := range all {
		token, err := tokenOf(st.Token, at.number)
		if errs[i] = err; err == nil {
			st.Token = token
			valid, places = append(valid, st), append(places, i)
		}
	}
	if valid == nil {
		return errs
	}
	r, err := s.p.do(ctx, at.session, &pluginpb.Call{Handle: id, Body: &pluginpb.Call_PubsubSettle{PubsubSettle: convert.FromSettlements(valid)}}, true, nil)
	outcomes := convert.ToSettled(r.GetPubsubSettled(), len(valid))
	if err != nil {
		fill(outcomes, err)
	}
	for j, i := range places {
		errs[i] = outcomes[j]
	}
	s.note(all, errs)
	return errs
}

func fill(errs []error, err error) []error {
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// tokenOf returns the plugin's own token.
func tokenOf(token string, number uint64) (string, error) {
	session, own, ok := strings.Cut(token, ":")
	n, err := strconv.ParseUint(session, 10, 64)
	switch {
	case !ok || err != nil:
		return "", fairlead.Errorf(fairlead.Invalid, "%q is not a token of a delivery", token)
	case n != number:
		return "", fairlead.Errorf(fairlead.Conflict, "the message was delivered before the plugin was started anew; it comes again")
	}
	return own, nil
}

// note keeps what a broadcast has acknowledged.
func (s *subscription) note(all []driver.Settlement, errs []error) {
	if s.config.Group != "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, st := range all {
		if errs[i] == nil && st.Kind == driver.Ack {
			s.progress.settled(st.Token)
		}
	}
}

// Close implements the pubsub driver's Subscription.
func (s *subscription) Close(ctx context.Context) error { return s.close(ctx) }
