{{/* Names, labels and images: what all objects share. */}}

{{- define "rollcall.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" }}
{{- end }}

{{/* The prefix of all names, short enough for "-controller" behind it. */}}
{{- define "rollcall.fullname" -}}
{{- $name := include "rollcall.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "rollcall.controller.fullname" -}}
{{ include "rollcall.fullname" . }}-controller
{{- end }}

{{- define "rollcall.dns.fullname" -}}
{{ include "rollcall.fullname" . }}-dns
{{- end }}

{{- define "rollcall.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{- define "rollcall.controller.serviceAccountName" -}}
{{- $account := .Values.controller.serviceAccount }}
{{- default (ternary (include "rollcall.controller.fullname" .) "default" $account.create) $account.name }}
{{- end }}

{{- define "rollcall.dns.serviceAccountName" -}}
{{- $account := .Values.dns.serviceAccount }}
{{- default (ternary (include "rollcall.dns.fullname" .) "default" $account.create) $account.name }}
{{- end }}

{{/* What selects the pods of a component: it never changes in the life of a release. Takes (list . "component"). */}}
{{- define "rollcall.selectorLabels" -}}
{{- $ := first . -}}
app.kubernetes.io/name: {{ include "rollcall.name" $ }}
app.kubernetes.io/instance: {{ $.Release.Name }}
{{- with last . }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{/*
Labels of an object. Takes (list . "component"), and a dict of further labels if there are any; objects of no component give
"". Each label stands once: those by which the chart finds its own win, then further ones, then the user's common ones.
*/}}
{{- define "rollcall.labels" -}}
{{- $ := first . }}
{{- $component := index . 1 }}
{{- $more := dict }}
{{- if gt (len .) 2 }}
{{- $more = last . | default dict }}
{{- end }}
{{- $own := include "rollcall.selectorLabels" (list $ $component) | fromYaml }}
{{- $chart := dict "app.kubernetes.io/managed-by" $.Release.Service "helm.sh/chart" (printf "%s-%s" $.Chart.Name $.Chart.Version | replace "+" "_") }}
{{- $usual := dict "app.kubernetes.io/version" $.Chart.AppVersion "app.kubernetes.io/part-of" "rollcall" }}
{{- toYaml (merge (dict) $own $chart $more ($.Values.commonLabels | default dict) ($.Values.global.commonLabels | default dict) $usual) }}
{{- end }}

{{/*
The metadata of an object. Takes a dict of
  root         .
  name         its name
  component    "controller", "dns", or nothing
  cluster      whether it is outside of namespaces
  namespace    if it is not the release's
  labels       further labels
  annotations  further annotations
*/}}
{{- define "rollcall.metadata" -}}
name: {{ .name }}
{{- if not .cluster }}
namespace: {{ .namespace | default (include "rollcall.namespace" .root) }}
{{- end }}
labels:
  {{- include "rollcall.labels" (list .root (.component | default "") .labels) | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) (.root.Values.commonAnnotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The reference of an image. Takes (list . <image values>). */}}
{{- define "rollcall.image" -}}
{{- $ := first . }}
{{- $image := last . }}
{{- $repository := $image.repository }}
{{- with $.Values.global.imageRegistry }}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) (regexReplaceAll "^[^/]*[.:][^/]*/" $repository "") }}
{{- end }}
{{- if $image.digest }}
{{- printf "%s@%s" $repository $image.digest }}
{{- else }}
{{- printf "%s:%s" $repository (default $.Chart.AppVersion $image.tag) }}
{{- end }}
{{- end }}

{{/* The variable in which Kubernetes tells pods the address of the Service of that name, as $(…). */}}
{{- define "rollcall.serviceHost" -}}
$({{ . | upper | replace "-" "_" }}_SERVICE_HOST)
{{- end }}
