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

// subscription implements the pubsub driver's Subscription. Its tokens begin with
// the number of the session: messages that were delivered in an earlier session
// are delivered again, and their old tokens are refused.
type subscription struct {
	*handle
	config   driver.SubscriptionConfig
	replays  bool // the provider can start after a position
	releases bool // the provider can give back what nobody has begun to handle
	volatile func() bool

	mu       sync.Mutex
	progress progress // of a broadcast
	gap      bool     // to be reported by the next Receive
}

// OpenSubscription implements the pubsub driver's Provider.
func (p *provider) OpenSubscription(ctx context.Context, c driver.SubscriptionConfig) (driver.Subscription, error) {
	d, err := p.Describe(ctx)
	if err != nil {
		return nil, err
	}
	f, _ := d.Facet(fairlead.PubSub)
	s := &subscription{config: c, replays: f.Has(driver.ClaimReplayPosition), releases: f.Has(driver.ClaimRelease), volatile: p.isVolatile}
	if s.handle, err = newHandle(ctx, p, nil, s.openingCall); err != nil {
		return nil, err
	}
	return s, nil
}

// openingCall returns the call that opens the subscription. A group resumes where
// it was. A broadcast resumes after the messages that were acknowledged, if their
// position is known.
func (s *subscription) openingCall(reason openReason) (*pluginpb.Call, error) {
	c := s.config
	if reason == newSession {
		s.mu.Lock()
		c = s.resumedConfig()
		s.mu.Unlock()
	}
	return &pluginpb.Call{Body: &pluginpb.Call_PubsubOpenSubscription{PubsubOpenSubscription: convert.FromSubscription(c)}}, nil
}

func (s *subscription) resumedConfig() driver.SubscriptionConfig {
	c := s.config
	position, delivered := s.progress.resumePosition()
	switch {
	case s.volatile():
		s.gap = true
	case c.Group != "":
	case position != "" && s.replays:
		c.Start, c.Position = driver.StartPosition, position
	case !delivered && c.Start != driver.StartNew:
	default: // the messages since it was opened are unknown
		s.gap = true
	}
	return c
}

// Receive implements the pubsub driver's Subscription.
func (s *subscription) Receive(ctx context.Context, limit int) ([]driver.Delivery, error) {
	s.p.awaitSession(ctx)
	at, id, err := s.ensureOpen(ctx)
	if err == nil {
		err = s.takeGap()
	}
	if err != nil {
		return nil, err
	}
	r, err := s.p.callInSession(ctx, at.session, &pluginpb.Call{
		Handle: id, Body: &pluginpb.Call_PubsubReceive{PubsubReceive: &pluginpb.PubSubReceive{Limit: int64(limit)}},
	}, false, func(r *pluginpb.Reply) { s.giveBackLate(at.session, id, r) })
	if err != nil {
		return nil, err
	}
	ds := convert.ToDeliveries(r.GetPubsubDeliveries())
	if len(ds) == 0 {
		return nil, fairlead.Errorf(fairlead.Internal, "the plugin replied without a message")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range ds {
		ds[i].Token = fmt.Sprintf("%d:%s", at.number, ds[i].Token)
		if s.config.Group == "" {
			s.progress.recordDelivery(ds[i].Token, ds[i].Position)
		}
	}
	return ds, nil
}

// takeGap returns an error for a gap that was not reported before.
func (s *subscription) takeGap() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.gap {
		return nil
	}
	s.gap = false
	return fairlead.Errorf(fairlead.Compacted, "the plugin was restarted, and messages that were published since then may be missing")
}

// giveBackLate returns messages to their group that arrived after the caller had
// gone. Where the provider can, that does not count as an attempt.
func (s *subscription) giveBackLate(at *Session, id uint64, r *pluginpb.Reply) {
	kind := driver.Nack
	if s.releases {
		kind = driver.Release
	}
	var all []driver.Settlement
	for _, d := range r.GetPubsubDeliveries().GetDeliveries() {
		all = append(all, driver.Settlement{Token: string(d.Token), Kind: kind})
	}
	if all == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), sessionWait)
	defer cancel()
	_, _ = s.p.callInSession(ctx, at, &pluginpb.Call{Handle: id, Body: &pluginpb.Call_PubsubSettle{PubsubSettle: convert.FromSettlements(all)}}, true, nil)
}

// Settle implements the pubsub driver's Subscription.
func (s *subscription) Settle(ctx context.Context, all []driver.Settlement) []error {
	at, id, err := s.ensureOpen(ctx)
	errs := make([]error, len(all))
	if err != nil {
		return fillErrors(errs, err)
	}
	var valid []driver.Settlement
	var places []int
	for i, st := range all {
		token, err := pluginToken(st.Token, at.number)
		if errs[i] = err; err == nil {
			st.Token = token
			valid, places = append(valid, st), append(places, i)
		}
	}
	if valid == nil {
		return errs
	}
	r, err := s.p.callInSession(ctx, at.session, &pluginpb.Call{Handle: id, Body: &pluginpb.Call_PubsubSettle{PubsubSettle: convert.FromSettlements(valid)}}, true, nil)
	outcomes, settledErr := convert.ToSettled(r.GetPubsubSettled(), len(valid))
	if err == nil {
		err = settledErr
	}
	if err != nil {
		fillErrors(outcomes, err)
	}
	for j := range outcomes {
		if outcomes[j] != nil {
			outcomes[j] = s.p.callerError(ctx, outcomes[j])
		}
	}
	for j, i := range places {
		errs[i] = outcomes[j]
	}
	s.recordAcks(all, errs)
	return errs
}

func fillErrors(errs []error, err error) []error {
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// pluginToken returns the plugin's own part of a token.
func pluginToken(token string, number uint64) (string, error) {
	session, own, ok := strings.Cut(token, ":")
	n, err := strconv.ParseUint(session, 10, 64)
	switch {
	case !ok || err != nil:
		return "", fairlead.Errorf(fairlead.Invalid, "%q is not the token of a delivery", token)
	case n != number:
		return "", fairlead.Errorf(fairlead.Conflict, "the message was delivered before the plugin was restarted; it will be delivered again")
	}
	return own, nil
}

// recordAcks records the messages that a broadcast has acknowledged.
func (s *subscription) recordAcks(all []driver.Settlement, errs []error) {
	if s.config.Group != "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, st := range all {
		if errs[i] == nil && st.Kind == driver.Ack {
			s.progress.recordAck(st.Token)
		}
	}
}

// Close implements the pubsub driver's Subscription.
func (s *subscription) Close(ctx context.Context) error { return s.closeHandle(ctx) }
