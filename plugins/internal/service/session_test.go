package service

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/status"

	"fairlead.dev"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// refused checks that a first frame is refused with a code, and that the
// connection ends with it.
func refused(t *testing.T, what string, s *Service, first *pluginpb.Attach, want pluginpb.Code) {
	t.Helper()
	h, f := connect(s, first)
	defer close(h.in)
	if got := f.End.GetCode(); got != want {
		t.Errorf("%s: the answer is %v, want %v", what, got, want)
	}
	err := <-h.served
	if details := status.Convert(err).Details(); len(details) != 1 || details[0].(*pluginpb.Error).Code != want {
		t.Errorf("%s: it ended with %v, %v", what, err, details)
	}
}

// TestAttaching shows who gets a session: one host, with its token. Who is
// refused does it no harm.
func TestAttaching(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(fairlead.Limits{})
		s := serviceOf(f)
		a := openSession(t, s)
		refused(t, "no attach", s, nil, pluginpb.Code_CODE_INVALID)
		refused(t, "another session", s, &pluginpb.Attach{Session: a.Session + 1, Token: a.Token}, pluginpb.Code_CODE_CLOSED)
		refused(t, "no token", s, &pluginpb.Attach{Session: a.Session}, pluginpb.Code_CODE_PERMISSION_DENIED)
		refused(t, "a part of the token", s, &pluginpb.Attach{Session: a.Session, Token: a.Token[1:]}, pluginpb.Code_CODE_PERMISSION_DENIED)
		wrong := bytes.Clone(a.Token)
		wrong[len(wrong)-1]++
		refused(t, "a wrong token", s, &pluginpb.Attach{Session: a.Session, Token: wrong}, pluginpb.Code_CODE_PERMISSION_DENIED)

		h, first := connect(s, a)
		if first.End != nil || len(first.Replies) > 0 {
			t.Fatalf("the attach was answered with %v", first)
		}
		refused(t, "a second attach", s, a, pluginpb.Code_CODE_CONFLICT)
		if r := h.call(0, &pluginpb.Call{Body: &pluginpb.Call_KvOpenStore{}}); r.Error != nil || r.Handle == 0 {
			t.Errorf("the session does not work: %v", r)
		}

		close(h.in)
		if err := <-h.served; err != nil || !f.isOver() {
			t.Errorf("the session ended with %v; its provider is closed: %v", err, f.isOver())
		}
		refused(t, "a session that has ended", s, a, pluginpb.Code_CODE_CLOSED)
	})
}

// TestSessionsHaveTokensOfTheirOwn shows that the token of one session opens no
// other.
func TestSessionsHaveTokensOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serviceOf(newFake(fairlead.Limits{}))
		one, other := openSession(t, s), openSession(t, s)
		refused(t, "the token of another session", s, &pluginpb.Attach{Session: one.Session, Token: other.Token}, pluginpb.Code_CODE_PERMISSION_DENIED)
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestSessionIsAttachedInTime shows that a session ends to which no host comes,
// and that one stays to which it comes in time.
func TestSessionIsAttachedInTime(t *testing.T) {
	for name, c := range map[string]struct {
		after time.Duration // until the host comes
		lives bool          // the session, then
	}{
		"at once":         {0, true},
		"just in time":    {attachWithin - 1, true},
		"just after that": {attachWithin + 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(fairlead.Limits{})
				s := serviceOf(f)
				a := openSession(t, s)
				time.Sleep(c.after)
				synctest.Wait()
				if f.isOver() == c.lives {
					t.Fatalf("after %v its provider is closed: %v", c.after, f.isOver())
				}
				if !c.lives {
					refused(t, "an attach that is late", s, a, pluginpb.Code_CODE_CLOSED)
					return
				}
				h, _ := connect(s, a)
				time.Sleep(2 * attachWithin)
				synctest.Wait()
				if f.isOver() {
					t.Error("a session that was attached in time has ended")
				}
				close(h.in)
				<-h.served
			})
		})
	}
}

// TestShutdownRefusesSessions shows that a plugin which ends opens no backend
// any more, and leaves none open.
func TestShutdownRefusesSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, late := newFake(fairlead.Limits{}), newFake(fairlead.Limits{})
		s := serviceOf(f)
		openSession(t, s)
		if err := s.Shutdown(t.Context()); err != nil || !f.isOver() {
			t.Errorf("the end of the service: %v; its provider is closed: %v", err, f.isOver())
		}
		s.config.Open = serviceOf(late).config.Open
		_, err := s.Open(t.Context(), &pluginpb.OpenRequest{})
		if details := status.Convert(err).Details(); len(details) != 1 || details[0].(*pluginpb.Error).Code != pluginpb.Code_CODE_UNAVAILABLE || !late.isOver() {
			t.Errorf("opening after it: %v, %v; its provider is closed: %v", err, details, late.isOver())
		}
	})
}

// TestShutdownWaitsForSessions shows that a plugin which ends waits for a session
// that is being closed already, because its host is gone; as long as it has time.
func TestShutdownWaitsForSessions(t *testing.T) {
	for name, c := range map[string]struct {
		closing, patience time.Duration
		want              fairlead.Code
	}{
		"long enough":     {time.Second, 2 * time.Second, 0},
		"not long enough": {2 * time.Second, time.Second, fairlead.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(fairlead.Limits{})
				f.hold = make(chan struct{})
				s := serviceOf(f)
				h, _ := connect(s, openSession(t, s))
				close(h.in)
				synctest.Wait()
				time.AfterFunc(c.closing, func() { close(f.hold) })
				ctx, cancel := context.WithTimeout(t.Context(), c.patience)
				defer cancel()
				began := time.Now()
				err := s.Shutdown(ctx)
				if took := time.Since(began); fairlead.CodeOf(err) != c.want || took != time.Second {
					t.Errorf("it took %v and ended with %v, want 1 s and %v", took, err, c.want)
				}
				<-h.served
			})
		})
	}
}
