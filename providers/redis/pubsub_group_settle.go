package redis

import (
	"context"
	"slices"
	"time"

	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

// Settle implements the pubsub driver's Subscription.
func (s *groupSubscription) Settle(ctx context.Context, all []driver.Settlement) []error {
	if err := s.life.Check(ctx); err != nil {
		return slices.Repeat([]error{err}, len(all))
	}
	errs := s.settleAll(ctx, all)
	s.trimmer.trimIfDue(ctx)
	return errs
}

func (s *groupSubscription) settleAll(ctx context.Context, all []driver.Settlement) []error {
	errs := make([]error, len(all))
	m := s.p.newMark()
	args := []any{m, s.config.Group, s.group.base, maxWait.Milliseconds()}
	var sent []int
	for i, st := range all {
		t, err := parseSettlement(st)
		if err != nil {
			errs[i] = err
			continue
		}
		args = append(args, int(st.Kind), t.member(s.consumer), t.id, t.key, milliseconds(s.delayOf(st)))
		sent = append(sent, i)
	}
	if len(sent) > 0 {
		s.runSettlements(ctx, m, args, sent, errs)
	}
	return errs
}

// parseSettlement returns the token of a settlement, or why it is invalid.
func parseSettlement(st driver.Settlement) (token, error) {
	switch st.Kind {
	case driver.Ack, driver.Nack, driver.Extend, driver.Release:
	default:
		return token{}, invalidf("the kind %d of a settlement is unknown", st.Kind)
	}
	if st.Delay < 0 {
		return token{}, invalidf("the delay %v of a settlement is negative", st.Delay)
	}
	return parseToken(st.Token)
}

func (s *groupSubscription) delayOf(st driver.Settlement) time.Duration {
	if st.Kind == driver.Extend && st.Delay == 0 {
		return s.config.AckDeadline
	}
	return st.Delay
}

// runSettlements sends the settlements in args. It puts the error of the n-th
// at the place sent[n] of errs.
func (s *groupSubscription) runSettlements(ctx context.Context, m *mark, args []any, sent []int, errs []error) {
	reply, err := s.p.write(ctx, m, s.keys.stream, settleScript.command(ctx,
		[]string{s.keys.stream, s.group.due, s.group.parked, s.group.wake}, args...))
	codes := asList(reply)
	if err == nil && len(codes) != len(sent) {
		err = unexpectedReply(reply)
	}
	for n, i := range sent {
		switch {
		case err != nil:
			errs[i] = err
		case asNumber(codes[n]) != 0:
			errs[i] = lostLeaseError()
		}
	}
}

func lostLeaseError() error {
	return fairlead.Errorf(fairlead.Conflict, "the lease of this delivery was lost, or the delivery is settled")
}
