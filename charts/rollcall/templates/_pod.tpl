{{/* What the pods of both components share. */}}

{{/* Labels of the pods, without the chart's version: it alone is no reason to replace them. Takes a dict of root, component, values. */}}
{{- define "rollcall.pod.labels" -}}
{{- $own := include "rollcall.selectorLabels" (list .root .component) | fromYaml }}
{{- $all := omit (include "rollcall.labels" (list .root .component) | fromYaml) "helm.sh/chart" "app.kubernetes.io/managed-by" }}
{{- toYaml (merge (dict) $own .values.podLabels $all) }}
{{- end }}

{{/* How pods are replaced: a type other than RollingUpdate takes nothing of `rollingUpdate`, which the defaults have. */}}
{{- define "rollcall.pod.strategy" -}}
{{- $strategy := . | default dict }}
{{- toYaml (eq ($strategy.type | default "RollingUpdate") "RollingUpdate" | ternary $strategy (omit $strategy "rollingUpdate")) }}
{{- end }}

{{/*
Who the pods are and where they run. Takes a dict of root, component, values, and, as they may differ by mode,
priorityClassName, tolerations and spread (whether to spread at all).
*/}}
{{- define "rollcall.pod.placement" -}}
{{- with .root.Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .spread }}
topologySpreadConstraints:
  {{- include "rollcall.pod.spread" . | trim | nindent 2 }}
{{- end }}
{{- end }}

{{/* How the pods find others by name. Takes the values of the component. */}}
{{- define "rollcall.pod.names" -}}
{{- with .dnsPolicy }}
dnsPolicy: {{ . }}
{{- end }}
{{- with .dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* As given, or over nodes as far as possible. Pods of an earlier revision do not count, or a rollout would crowd. */}}
{{- define "rollcall.pod.spread" -}}
{{- $selector := dict "labelSelector" (dict "matchLabels" (include "rollcall.selectorLabels" (list .root .component) | fromYaml)) }}
{{- $revision := dict "matchLabelKeys" (list "pod-template-hash") }}
{{- $default := dict "maxSkew" 1 "topologyKey" "kubernetes.io/hostname" "whenUnsatisfiable" "ScheduleAnyway" }}
{{- $constraints := .values.topologySpreadConstraints | default (list (merge $default $revision)) }}
{{- range $constraints }}
- {{ toYaml (hasKey . "labelSelector" | ternary . (merge (dict) . $selector)) | nindent 2 | trim }}
{{- end }}
{{- end }}

{{/* A probe of the admin server. Takes (list <path> <probe values>). */}}
{{- define "rollcall.pod.probe" -}}
httpGet:
  path: {{ first . }}
  port: http
{{- with last . }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Who the process is: for Events about its own pod. */}}
{{- define "rollcall.pod.env" -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: POD_UID
  valueFrom:
    fieldRef:
      fieldPath: metadata.uid
{{- end }}

{{/* Flags of both programs. */}}
{{- define "rollcall.pod.args" -}}
- --log-level={{ .Values.logLevel }}
- --log-format={{ .Values.logFormat }}
{{- with .Values.tracing.otlpEndpoint }}
- --otlp-endpoint={{ . }}
{{- end }}
{{- end }}

{{/* How many pods may go or must stay; Kubernetes takes one of the two. */}}
{{- define "rollcall.disruption" -}}
{{- if kindIs "invalid" .minAvailable -}}
maxUnavailable: {{ .maxUnavailable }}
{{- else -}}
minAvailable: {{ .minAvailable }}
{{- end }}
{{- end }}
