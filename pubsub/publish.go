package pubsub

import (
	"context"
	"fmt"
	"slices"

	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

// Publish stores one message and returns when it is stored.
//
// Errors: UnknownOutcome (ErrUnknownOutcome) if the message was sent and no
// answer came: it may be stored. Any other code: it is not stored. Invalid or
// TooLarge for the message, Unsupported for a Key without [OrderedByKey],
// Closed after Close.
func (t *Topic) Publish(ctx context.Context, m Message) (Receipt, error) {
	ctx, call := t.sending.Start(ctx)
	receipt, err := t.publishOne(ctx, m)
	if err == nil {
		t.countStored(ctx, receipt)
	}
	return receipt, call.End(err)
}

func (t *Topic) publishOne(ctx context.Context, m Message) (Receipt, error) {
	if err := t.checkUsable(); err != nil {
		return Receipt{}, err
	}
	prepared, err := t.prepareMessage(ctx, m)
	if err != nil {
		return Receipt{}, err
	}
	result, err := t.batcher.ExecuteOne(ctx, prepared)
	if err != nil {
		return Receipt{}, err
	}
	return newReceipt(result), result.Err
}

// PublishMany stores messages independently of each other. Where [Ordered] is
// claimed, the messages that are stored are in the order of msgs.
//
// The error is nil if all messages are stored. Otherwise there are two cases:
//
//   - The results are nil: nothing was sent, for the reason that the error
//     states. The topic is closed, or a requirement is not met any more.
//   - There is one result for each message, in the order of msgs, and the Err of
//     each result says whether that message is stored. The error says how many
//     are stored, are not, and may be. Its code says what repeating the whole
//     call would do: UnknownOutcome if some messages may be stored, and if some
//     are stored and others could be repeated safely. Otherwise it is the code
//     of the first message that is not stored.
func (t *Topic) PublishMany(ctx context.Context, msgs ...Message) ([]PublishResult, error) {
	ctx, call := t.sending.Start(ctx)
	results, err := t.publishEach(ctx, msgs)
	if err != nil {
		return nil, call.End(t.annotateMany(err))
	}
	for i, r := range results {
		if r.Err == nil {
			t.countStored(ctx, r.Receipt)
		}
		results[i].Err = t.annotateMany(r.Err)
	}
	return results, call.End(t.annotateMany(summarizeFailures(results)))
}

func (t *Topic) annotateMany(err error) error { return t.annotate(err, "pubsub.PublishMany") }

// publishEach sends the messages that are valid. Its error means that it sent
// none.
func (t *Topic) publishEach(ctx context.Context, msgs []Message) ([]PublishResult, error) {
	if err := t.checkUsable(); err != nil {
		return nil, err
	}
	results := make([]PublishResult, len(msgs))
	var batch []driver.Message
	var places []int // in results, of the messages of the batch
	for i, m := range msgs {
		prepared, err := t.prepareMessage(ctx, m)
		if err != nil {
			results[i].Err = err
			continue
		}
		batch, places = append(batch, prepared), append(places, i)
	}
	sent, err := t.batcher.ExecuteMany(ctx, batch)
	if err != nil {
		return nil, err
	}
	for j, i := range places {
		results[i] = newPublishResult(sent[j])
	}
	return results, nil
}

// summarizeFailures returns nil if all messages are stored.
func summarizeFailures(results []PublishResult) error {
	var failed, unknown, repeatable int
	var first error
	for _, r := range slices.Backward(results) {
		if r.Err == nil {
			continue
		}
		failed, first = failed+1, r.Err
		switch fairlead.CodeOf(r.Err).Retry() {
		case fairlead.RetrySafe:
			repeatable++
		case fairlead.RetryAfterRead:
			unknown++
		}
	}
	if failed == 0 {
		return nil
	}
	stored := len(results) - failed
	summary := fmt.Sprintf("of %d messages, %d are stored, %d are not, and %d may be", len(results), stored, failed-unknown, unknown)
	code := fairlead.CodeOf(first)
	if (unknown > 0 || stored > 0 && repeatable > 0) && code != fairlead.UnknownOutcome {
		// The first error is not wrapped: a caller that finds its code would take
		// the whole call for one that can be repeated.
		return fairlead.Errorf(fairlead.UnknownOutcome, "%s; see the results; the first error: %v", summary, first)
	}
	return fairlead.Errorf(code, "%s; the first error: %w", summary, first)
}

// PublishAtomic stores all messages or none. It requires the claim
// [AtomicBatch]. More messages than the provider's MaxBatch are TooLarge. The
// receipts are in the order of msgs. Errors as for Publish.
func (t *Topic) PublishAtomic(ctx context.Context, msgs ...Message) ([]Receipt, error) {
	ctx, call := t.sending.Start(ctx)
	receipts, err := t.publishTogether(ctx, msgs)
	t.countStored(ctx, receipts...)
	return receipts, call.End(err)
}

func (t *Topic) publishTogether(ctx context.Context, msgs []Message) ([]Receipt, error) {
	if err := t.checkAtomic(len(msgs)); err != nil {
		return nil, err
	}
	batch := make([]driver.Message, len(msgs))
	for i, m := range msgs {
		var err error
		if batch[i], err = t.prepareMessage(ctx, m); err != nil {
			return nil, err
		}
	}
	results, err := t.batcher.ExecuteTogether(ctx, batch)
	if err != nil {
		return nil, err
	}
	receipts := make([]Receipt, len(results))
	for i, r := range results {
		if r.Err != nil {
			return nil, r.Err
		}
		receipts[i] = newReceipt(r)
	}
	return receipts, nil
}

// checkAtomic checks that the topic can store n messages or none of them.
func (t *Topic) checkAtomic(n int) error {
	if err := t.handle.CheckClaim(AtomicBatch); err != nil {
		return err
	}
	if limit := t.handle.Facet.Limits.MaxBatch; n > limit {
		return fairlead.Errorf(fairlead.TooLarge, "the batch has %d messages, the limit is %d", n, limit)
	}
	return t.checkUsable()
}

// checkUsable fails if the topic is closed or a requirement is not met.
func (t *Topic) checkUsable() error {
	if t.life.Err() != nil {
		return fairlead.Errorf(fairlead.Closed, "the topic is closed")
	}
	return t.handle.Requirements.Check()
}

// prepareMessage validates a message and returns it in the driver's form.
func (t *Topic) prepareMessage(ctx context.Context, m Message) (driver.Message, error) {
	if m.Key != "" {
		if err := t.handle.CheckClaim(OrderedByKey); err != nil {
			return driver.Message{}, err
		}
	}
	prepared := newDriverMessage(ctx, m)
	return prepared, checkMessage(prepared, t.maxMessageBytes)
}

// countStored counts the messages that are stored, without the duplicates.
func (t *Topic) countStored(ctx context.Context, receipts ...Receipt) {
	n := 0
	for _, r := range receipts {
		if !r.Duplicate {
			n++
		}
	}
	t.stored.add(ctx, n)
}
