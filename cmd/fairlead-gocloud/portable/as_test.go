package portable_test

import (
	"errors"
	"fmt"

	gcpubsub "gocloud.dev/pubsub"
	"gocloud.dev/runtimevar"

	"fairlead.dev"
	"fairlead.dev/config"
	"fairlead.dev/pubsub"
)

// reaches is gocloud.dev's test of As and ErrorAs.
type reaches struct{}

func (reaches) Name() string { return "types of Fairlead" }

func (reaches) TopicCheck(t *gcpubsub.Topic) error {
	var to *pubsub.Topic
	if !t.As(&to) || to == nil {
		return errors.New("a topic is not reached")
	}
	return nil
}

func (reaches) SubscriptionCheck(s *gcpubsub.Subscription) error {
	var from *pubsub.Subscription
	if !s.As(&from) || from == nil {
		return errors.New("a subscription is not reached")
	}
	return nil
}

func (reaches) TopicErrorCheck(t *gcpubsub.Topic, err error) error { return isNotFound(t.ErrorAs, err) }

func (reaches) SubscriptionErrorCheck(s *gcpubsub.Subscription, err error) error {
	return isNotFound(s.ErrorAs, err)
}

func isNotFound(as func(error, any) bool, err error) error {
	var e *fairlead.Error
	if !as(err, &e) || e.Code != fairlead.NotFound {
		return fmt.Errorf("ErrorAs of %v gave %v", err, e)
	}
	return nil
}

func (reaches) MessageCheck(m *gcpubsub.Message) error {
	var d *pubsub.Delivery
	if !m.As(&d) || d.ID != "named" || m.LoggableID != d.ID {
		return fmt.Errorf("a delivery is %+v, its loggable id %q; want the id %q that was set before sending", d, m.LoggableID, "named")
	}
	return nil
}

func (reaches) BeforeSend(as func(any) bool) error {
	var m *pubsub.Message
	if !as(&m) {
		return errors.New("a message that is sent is not reached")
	}
	m.ID = "named"
	return nil
}

func (reaches) AfterSend(as func(any) bool) error {
	var r pubsub.Receipt
	if !as(&r) || r.ID != "named" {
		return fmt.Errorf("the receipt is %+v", r)
	}
	return nil
}

// reachesVariable is gocloud.dev's test of Snapshot.As.
type reachesVariable struct{}

func (reachesVariable) Name() string { return "types of Fairlead" }

func (reachesVariable) SnapshotCheck(s *runtimevar.Snapshot) error {
	var v config.Value
	if !s.As(&v) || string(v.Data) != s.Value.(string) {
		return fmt.Errorf("the setting is %+v, want %v", v, s.Value)
	}
	return nil
}

func (reachesVariable) ErrorCheck(v *runtimevar.Variable, err error) error {
	return isNotFound(v.ErrorAs, err)
}
