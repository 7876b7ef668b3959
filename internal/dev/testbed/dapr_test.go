package testbed

import (
	"context"
	"fmt"
	"strings"
	"testing"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"
	runtimev1 "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// sidecarClient is a client of a sidecar's API, closed at the test's end.
func sidecarClient(t *testing.T, s *DaprSidecar) runtimev1.DaprClient {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+s.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(t, err)
	t.Cleanup(func() { must(t, conn.Close()) })
	return runtimev1.NewDaprClient(conn)
}

// TestDaprRedis: the components are there, and what Redis holds outlives a
// sidecar that was killed.
func TestDaprRedis(t *testing.T) {
	s := Dapr(t, DaprRedis(Redis(t).Addr()), DaprApp("orders"))
	c := sidecarClient(t, s)
	m, err := c.GetMetadata(t.Context(), &runtimev1.GetMetadataRequest{})
	must(t, err)
	if m.GetId() != "orders" || len(m.GetRegisteredComponents()) != 3 {
		t.Errorf("the sidecar says %v", m)
	}
	saveState(t, c)
	must(t, s.Kill(t.Context()))
	must(t, s.Start(t.Context()))
	if got := getState(t, c); got != "value" {
		t.Errorf("after a restart, the state is %q", got)
	}
}

// TestDaprInMemory: a sidecar forgets its memory.
func TestDaprInMemory(t *testing.T) {
	s := Dapr(t, DaprInMemory())
	c := sidecarClient(t, s)
	saveState(t, c)
	if got := getState(t, c); got != "value" {
		t.Errorf("the state is %q", got)
	}
	must(t, s.Restart(t.Context()))
	if got := getState(t, c); got != "" {
		t.Errorf("after a restart, the state is %q", got)
	}
}

func TestDaprToken(t *testing.T) {
	s := Dapr(t, DaprInMemory(), DaprToken("s3cret"))
	c := sidecarClient(t, s)
	ask := func(ctx context.Context) codes.Code {
		_, err := c.GetMetadata(ctx, &runtimev1.GetMetadataRequest{})
		return status.Code(err)
	}
	if code := ask(t.Context()); code != codes.Unauthenticated {
		t.Errorf("without a token: %v", code)
	}
	if code := ask(metadata.AppendToOutgoingContext(t.Context(), "dapr-api-token", "s3cret")); code != codes.OK {
		t.Errorf("with the token: %v", code)
	}
}

func saveState(t *testing.T, c runtimev1.DaprClient) {
	t.Helper()
	_, err := c.SaveState(t.Context(), saveRequest("key", "value"), grpc.WaitForReady(true))
	must(t, err)
}

func getState(t *testing.T, c runtimev1.DaprClient) string {
	t.Helper()
	r, err := c.GetState(t.Context(), &runtimev1.GetStateRequest{StoreName: DaprState, Key: "key"}, grpc.WaitForReady(true))
	must(t, err)
	return string(r.GetData())
}

// TestDaprComponentDown: a sidecar whose component cannot connect does not
// start, and its log says why.
func TestDaprComponentDown(t *testing.T) {
	_, err := StartDapr(t.Context(), DaprRedis(fmt.Sprint("127.0.0.1:", Port(t))))
	if err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("%v", err)
	}
}

func TestDaprBadOptions(t *testing.T) {
	_, err := StartDapr(t.Context(), DaprMetadata("nothing", "item", "value"))
	if err == nil || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("%v", err)
	}
}

func saveRequest(key, value string) *runtimev1.SaveStateRequest {
	return &runtimev1.SaveStateRequest{StoreName: DaprState, States: []*commonv1.StateItem{{Key: key, Value: []byte(value)}}}
}
