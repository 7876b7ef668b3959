package testbed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// ownerVariable makes the test program start servers and wait to be ended:
// see TestServersEndWithTheirOwner.
const ownerVariable = "TESTBED_TEST_OWNER"

func TestMain(m *testing.M) {
	if how := os.Getenv(ownerVariable); how != "" {
		own(how)
	}
	goleak.VerifyTestMain(m)
}

// own starts a running and a paused server, prints their ids, and ends as how
// says.
func own(how string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, pause := range []bool{false, true} {
		s, err := StartRedis(ctx)
		if err == nil && pause {
			err = s.Pause(ctx)
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(s.PID(), s.Dir())
	}
	switch how {
	case "exits":
		os.Exit(3)
	case "panics":
		panic("as the test demands")
	}
	<-ctx.Done() // to be killed
}

func TestServersEndWithTheirOwner(t *testing.T) {
	for _, how := range []string{"exits", "panics", "is killed"} {
		t.Run(how, func(t *testing.T) {
			ctx := deadline(t)
			cmd := exec.CommandContext(ctx, os.Args[0])
			cmd.Env = append(os.Environ(), ownerVariable+"="+how)
			out, err := cmd.StdoutPipe()
			must(t, err)
			must(t, cmd.Start())
			pids := readServers(t, bufio.NewScanner(out), 2)
			if how == "is killed" {
				must(t, cmd.Process.Kill())
			}
			if err := cmd.Wait(); err == nil {
				t.Fatal("the owner ended well")
			}
			for _, pid := range pids {
				if err := poll(ctx, func(context.Context) error { return gone(pid) }); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// readServers reads n lines "PID FOLDER", and removes the folders at the end.
func readServers(t *testing.T, lines *bufio.Scanner, n int) (pids []int) {
	t.Helper()
	for len(pids) < n && lines.Scan() {
		id, dir, _ := strings.Cut(lines.Text(), " ")
		pid, err := strconv.Atoi(id)
		if err != nil {
			t.Fatalf("the owner says: %s", lines.Text())
		}
		pids = append(pids, pid)
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
	}
	if len(pids) != n {
		t.Fatalf("the owner started %d servers, want %d", len(pids), n)
	}
	return pids
}

func TestTestServersEndWithTheTest(t *testing.T) {
	var s *RedisServer
	t.Run("inner", func(t *testing.T) { s = Redis(t) })
	if s.Running() {
		t.Error("the server survived its test")
	}
	if _, err := os.Stat(s.Dir()); !os.IsNotExist(err) {
		t.Errorf("its folder survived: %v", err)
	}
}

func TestProcessNoticesACrash(t *testing.T) {
	s := Redis(t)
	p, err := os.FindProcess(s.PID())
	must(t, err)
	must(t, p.Kill())
	must(t, poll(deadline(t), func(context.Context) error {
		if s.Running() {
			return errors.New("not noticed yet")
		}
		return nil
	}))
	must(t, s.Start(deadline(t)))
}

func TestProcessStartGivesUpWithItsContext(t *testing.T) {
	never := errors.New("never ready")
	p := newProcess(processSpec{
		path: "/bin/sleep", args: []string{"1000"}, dir: t.TempDir(),
		ready: func(context.Context) error { return never },
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Start(ctx); !errors.Is(err, never) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the deadline and the last attempt's", err)
	}
	if p.Running() {
		t.Error("a failed Start left its process")
	}
}

func TestProcessStopGivesUpWithItsContext(t *testing.T) {
	p := newProcess(processSpec{
		path: "/bin/sh", args: []string{"-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"}, dir: t.TempDir(),
	})
	p.spec.ready = func(context.Context) error {
		if !strings.Contains(p.Log(), "deaf") {
			return errors.New("not deaf yet")
		}
		return nil
	}
	must(t, p.Start(deadline(t)))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the deadline", err)
	}
	if !p.Running() {
		t.Error("it is gone all the same")
	}
	must(t, p.close())
	if p.Running() {
		t.Error("it survived close")
	}
}

func TestLogIsATail(t *testing.T) {
	p := newProcess(processSpec{dir: t.TempDir()})
	if p.Log() != "" {
		t.Error("a log before the first start")
	}
	must(t, os.WriteFile(p.logPath(), []byte(strings.Repeat("x", 2*logTail)+"end"), 0o600))
	if got := p.Log(); len(got) != logTail || !strings.HasSuffix(got, "end") {
		t.Errorf("%d bytes, want the last %d", len(got), logTail)
	}
}

func TestPortsAreHeldUntilReleased(t *testing.T) {
	p, err := reservePort()
	must(t, err)
	if q, err := tryPort(p.number); err == nil {
		t.Error("a held port was handed out", q.release())
	}
	must(t, p.release())
	q, err := tryPort(p.number)
	must(t, err)
	must(t, q.release())
}

// gone returns nil when no such process is left; a process that no parent has waited
// for yet counts as gone.
func gone(pid int) error {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil || strings.Contains(string(stat), ") Z ") {
		return nil
	}
	return fmt.Errorf("process %d is still there", pid)
}
