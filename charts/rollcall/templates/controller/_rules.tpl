{{/*
What the controller may do in the namespaces that it watches: in a ClusterRole for all, or in a Role in each.
A new source or write adds its rule here, with the reason, and to `manifests/rbac.yaml` by `cargo xtask generate`.
*/}}
{{- define "rollcall.controller.rules" -}}
# Sources. Services: names, types, ports and traffic distribution. Pods: tags, host names, early notice of deletion.
# No `get`: informers list and watch, and never ask for single objects.
- apiGroups: [""]
  resources: [services, pods]
  verbs: [list, watch]
# Source as well: which pods are ready. And the write-back: slices for endpoints outside the cluster. Server-side apply
# needs `patch`, and `create` for the first time. RBAC cannot say "only those of our managed-by value"; the code does.
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch, create, patch, delete]
# Source: what users registered, and their policies. The specs are theirs: no write.
- apiGroups: [rollcall.dev]
  resources: [serviceregistrations, discoverypolicies]
  verbs: [list, watch]
{{- if .Values.controller.agentsMax }}
# What agents on machines outside the cluster register: objects of their own, by server-side apply over the version that was
# seen, and deleted with their last endpoint. RBAC cannot say "only those of agents"; the code does, by the label
# app.kubernetes.io/managed-by. Not needed with `--agents-max 0`.
- apiGroups: [rollcall.dev]
  resources: [serviceregistrations]
  verbs: [create, patch, delete]
{{- end }}
# Conditions and the health of each endpoint; for which services a policy is in force.
- apiGroups: [rollcall.dev]
  resources: [serviceregistrations/status, discoverypolicies/status]
  verbs: [patch]
# The catalog for people and tools. Read back, so that nothing is written that changes nothing.
- apiGroups: [rollcall.dev]
  resources: [catalogentries]
  verbs: [list, watch, create, patch, delete]
# Transitions of endpoints, in the namespace of the registration: each is an Event of its own, with its own reason.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- if .Values.federation.enabled }}
# What this cluster exports to others, and how that goes. Not needed without `--cluster-id`.
- apiGroups: [multicluster.x-k8s.io]
  resources: [serviceexports]
  verbs: [list, watch]
- apiGroups: [multicluster.x-k8s.io]
  resources: [serviceexports/status]
  verbs: [patch]
{{- if .Values.federation.serviceImports }}
# Services across clusters: the ServiceImport of each, and the Service derived from it, which has its virtual address. RBAC knows
# no labels, and names of derived Services (derived-HASH) nobody knows beforehand, so these verbs cannot be bound to them. Not
# needed with `--service-imports false`.
- apiGroups: [multicluster.x-k8s.io]
  resources: [serviceimports]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [multicluster.x-k8s.io]
  resources: [serviceimports/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [services]
  verbs: [create, patch, delete]
{{- end }}
{{- end }}
{{- if .Values.controller.leaseBeats }}
# Heartbeats of those who have only kubectl: Leases that they renew, by the label rollcall.dev/registration. RBAC knows no
# labels; the watch asks for these alone. Not needed with `--lease-beats false`.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [list, watch]
{{- end }}
{{- end }}

{{/* What it may read outside of namespaces. Empty if it is to read neither. */}}
{{- define "rollcall.controller.clusterRules" -}}
{{- if .Values.controller.accessReviews }}
# Who asks and who registers, and whether they may: the API server judges, by RBAC. Nothing is granted by either.
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
- apiGroups: [authorization.k8s.io]
  resources: [subjectaccessreviews]
  verbs: [create]
{{- end }}
{{- if .Values.federation.enabled }}
# Other clusters whose exports are taken in, and how the links are. Not needed without `--cluster-id`.
- apiGroups: [rollcall.dev]
  resources: [clusterlinks]
  verbs: [list, watch]
- apiGroups: [rollcall.dev]
  resources: [clusterlinks/status]
  verbs: [patch]
# Clusters of an inventory: links may take from one where the other cluster is (`clusterProfile`), and are of no namespace. Asked for
# from the first such link on.
- apiGroups: [multicluster.x-k8s.io]
  resources: [clusterprofiles]
  verbs: [list, watch]
# Namespaces, their metadata alone: links may import by their labels (`import.namespaceSelector`).
- apiGroups: [""]
  resources: [namespaces]
  verbs: [list, watch]
{{- if ne .Values.federation.clusterProperty "ignore" }}
# Who this cluster is by the About API: these two properties alone. Not needed with `--cluster-property ignore`.
- apiGroups: [about.k8s.io]
  resources: [clusterproperties]
  resourceNames: [cluster.clusterset.k8s.io, clusterset.k8s.io]
  verbs: [get{{ if eq .Values.federation.clusterProperty "write" }}, patch{{ end }}]
{{- end }}
{{- if eq .Values.federation.clusterProperty "write" }}
# One that is not there has no name by which it could be bound.
- apiGroups: [about.k8s.io]
  resources: [clusterproperties]
  verbs: [create]
{{- end }}
{{- end }}
{{- if .Values.controller.nodeZones }}
# Nodes: zones, and the address blocks of pods. Not needed with `--node-zones false`.
- apiGroups: [""]
  resources: [nodes]
  verbs: [list, watch]
{{- end }}
{{- if .Values.controller.serviceCIDRs }}
# The address blocks of Services, which no registration may claim. Not needed with `--service-cidrs false`.
- apiGroups: [networking.k8s.io]
  resources: [servicecidrs]
  verbs: [list, watch]
{{- end }}
{{- end }}

{{/* What it may do where it is installed, whatever it watches. */}}
{{- define "rollcall.controller.ownRules" -}}
# Leadership: one replica writes. And a Lease for each replica, by which they find and know each other: all of them are
# listed each second, each keeps its own, removes it when it ends, and those that were left. Only in this namespace, so that
# no other Lease of the cluster (nodes have theirs) is in reach. `update` and not `patch`: each renewal is guarded by the
# resourceVersion. The names hold those of pods, which nobody knows beforehand, so these verbs cannot be bound to names.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [list, create, update, delete]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [rollcall-controller]
  verbs: [get]
{{- if .Values.federation.enabled }}
# A Lease for each other cluster, renewed as long as it is heard; a server-side apply, since it has one writer.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [patch]
{{- end }}
{{- if and .Values.federation.enabled .Values.federation.secrets }}
# What links prove themselves with (`spec.secretName`): these alone, by name.
- apiGroups: [""]
  resources: [secrets]
  resourceNames: {{ toJson .Values.federation.secrets }}
  verbs: [get]
{{- end }}
{{- if eq (include "rollcall.certificates.source" .) "authority" }}
# The stream's own certificate authority (`--tls authority`): its keys and what clients trust. Both objects are there
# already, empty, so that no other Secret or ConfigMap can be read or made.
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ include "rollcall.certificates.authoritySecret" . }}]
  verbs: [get, update]
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [{{ include "rollcall.certificates.authorityConfigMap" . }}]
  verbs: [get, update]
{{- end }}
{{- if and .Values.watchNamespaces (not (has (include "rollcall.namespace" .) .Values.watchNamespaces)) }}
# What is wrong with the controller itself, about its pod.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}
{{- end }}
