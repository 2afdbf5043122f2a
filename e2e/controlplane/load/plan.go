package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
)

const (
	servicesPerNamespace     = 500
	endpointsPerRegistration = 100 // the CRD's bound
	// Registered endpoints get addresses of 198.18.0.0/15, which RFC 2544 sets aside for benchmarks.
	addresses = 1 << 17
)

type names []string

func (n *names) String() string        { return strings.Join(*n, ",") }
func (n *names) Set(name string) error { *n = append(*n, name); return nil }

// plan says how many objects there are and what is in each: all of it follows from an index.
type plan struct {
	services, endpoints, pods int
	nodes                     names
}

func (p *plan) check() error {
	switch {
	case p.services < 1 || p.endpoints < p.services:
		return errors.New("give at least one service, and at least one endpoint for each")
	case p.endpoints > addresses:
		return fmt.Errorf("at most %d endpoints: that is how many addresses are set aside for this", addresses)
	case p.pods > 0 && len(p.nodes) == 0:
		return errors.New("pods need nodes")
	}
	return nil
}

func (p *plan) steps(client kubernetes.Interface) []step {
	steps := []step{
		{"namespaces", (p.services-1)/servicesPerNamespace + 1, func(ctx context.Context, i int) error {
			namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("load-%d", i)}}
			_, err := client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
			return err
		}},
		{"Services", p.services, func(ctx context.Context, i int) error {
			_, err := client.CoreV1().Services(namespace(i)).Create(ctx, p.service(i), metav1.CreateOptions{})
			return err
		}},
		{"ServiceRegistrations", p.services * p.registrations(), func(ctx context.Context, i int) error {
			body, err := p.registration(i/p.registrations(), i%p.registrations())
			if err != nil || body == nil {
				return err
			}
			path := fmt.Sprintf("/apis/rollcall.dev/v1alpha1/namespaces/%s/serviceregistrations", namespace(i/p.registrations()))
			return post(ctx, client.CoreV1().RESTClient(), path, body)
		}},
	}
	if p.pods > 0 {
		steps = append(steps, step{"pods", p.pods, func(ctx context.Context, i int) error {
			_, err := client.CoreV1().Pods(namespace(p.serviceOfPod(i))).Create(ctx, p.pod(i), metav1.CreateOptions{})
			return err
		}})
	}
	return steps
}

func namespace(service int) string { return fmt.Sprintf("load-%d", service/servicesPerNamespace) }
func name(service int) string      { return fmt.Sprintf("service-%d", service) }

// serviceOfPod puts up to ten pods into each of the first services.
func (p *plan) serviceOfPod(pod int) int { return (pod / 10) % p.services }

// podsOf counts the pods of a service.
func (p *plan) podsOf(service int) int {
	count, round := 0, 10*p.services
	for start := 10 * service; start < p.pods; start += round {
		count += min(10, p.pods-start)
	}
	return count
}

// share is the range of endpoints that a service has, pods included: as even as it goes.
func (p *plan) share(service int) (start, end int) {
	return service * p.endpoints / p.services, (service + 1) * p.endpoints / p.services
}

// registrations is the number of registrations that the largest service needs.
func (p *plan) registrations() int {
	largest := (p.endpoints + p.services - 1) / p.services
	return (largest-1)/endpointsPerRegistration + 1
}

func (p *plan) service(i int) *corev1.Service {
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name(i)},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}}},
	}
	// A selector that selects nothing would make the cluster's controller write an empty EndpointSlice.
	if p.podsOf(i) > 0 {
		service.Spec.Selector = map[string]string{"app": name(i)}
	}
	return service
}

func (p *plan) registration(service, part int) ([]byte, error) {
	start, end := p.share(service)
	end -= p.podsOf(service)
	start += part * endpointsPerRegistration
	end = min(end, start+endpointsPerRegistration)
	if start >= end {
		return nil, nil
	}
	endpoints := make([]map[string]any, 0, end-start)
	for i := start; i < end; i++ {
		endpoints = append(endpoints, map[string]any{
			"name":      fmt.Sprintf("vm-%d", i),
			"addresses": []string{address(i)},
			"zone":      "zone-" + string(rune('a'+i%2)),
		})
	}
	return json.Marshal(map[string]any{
		"apiVersion": "rollcall.dev/v1alpha1",
		"kind":       "ServiceRegistration",
		"metadata":   map[string]any{"name": fmt.Sprintf("%s-vm-%d", name(service), part)},
		"spec": map[string]any{
			"service":   name(service),
			"ports":     []map[string]any{{"name": "http", "port": 8080}},
			"endpoints": endpoints,
		},
	})
}

func address(i int) string {
	return netip.AddrFrom4([4]byte{198, 18 + byte(i>>16), byte(i >> 8), byte(i)}).String()
}

func (p *plan) pod(i int) *corev1.Pod {
	automount := false
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:   fmt.Sprintf("pod-%d", i),
			Labels: map[string]string{"app": name(p.serviceOfPod(i))},
		},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: &automount,
			NodeName:                     p.nodes[i%len(p.nodes)],
			Containers:                   []corev1.Container{{Name: "app", Image: "registry.example/app:1"}},
		},
	}
}
