//! What a program imports, exports and uses, in one walk over its syntax.

use std::collections::{BTreeSet, HashMap};

use oxc::ast::ast::{
    Argument, ArrowFunctionExpression, AssignmentExpression, AssignmentTarget, AwaitExpression, CallExpression,
    ConditionalExpression, Decorator, ExportAllDeclaration, ExportFromDeclaration, Expression, ForOfStatement,
    Function, IdentifierReference, IfStatement, ImportDeclaration, ImportDeclarationSpecifier, ImportExpression,
    ImportMeta, LabeledStatement, LogicalExpression, ObjectPropertyKind, Program, Statement, StaticMemberExpression,
    TryStatement, UnaryExpression, VariableDeclaration, WithClause,
};
use oxc::ast_visit::{Visit, walk};
use oxc::semantic::{ScopeFlags, Scoping};
use oxc::span::{GetSpan, Span};
use oxc::syntax::operator::{BinaryOperator, LogicalOperator, UnaryOperator};

use super::facts::{How, Import, Scanned};
use super::positions::Insertion;

/// Walks over a program.
pub fn scan(program: &Program<'_>, scoping: &Scoping, node_env: &str) -> Scanned {
    let mut walker = Walker {
        scoping,
        source: program.source_text,
        node_env,
        namespaces: HashMap::new(),
        created: false,
        guarded: false,
        functions: 0,
        maybe: 0,
        awaits: vec![true],
        labelled: None,
        out: Scanned::default(),
    };
    walker.note_free_names();
    walker.visit_program(program);
    let mut out = walker.out;
    if walker.guarded {
        out.uses.buffer = false;
    }
    out.contexts.sort_by_key(|insertion| insertion.offset);
    out
}

struct Walker<'s> {
    scoping: &'s Scoping,
    source: &'s str,
    node_env: &'s str,
    /// Local names of `import * as name`: which import.
    namespaces: HashMap<String, usize>,
    /// `require` was made by `createRequire`.
    created: bool,
    /// `typeof Buffer` was seen.
    guarded: bool,
    functions: u32,
    /// Conditions, loops and `try` around.
    maybe: u32,
    /// Whether each function around may `await`.
    awaits: Vec<bool>,
    /// Where a statement with a label starts, whose loop must follow it at once.
    labelled: Option<u32>,
    out: Scanned,
}

impl Walker<'_> {
    fn note_free_names(&mut self) {
        for (name, references) in self.scoping.root_unresolved_references() {
            let uses = &mut self.out.uses;
            match name.as_str() {
                "require" => uses.require = true,
                "module" | "exports" => uses.exports = true,
                "__dirname" | "__filename" => uses.file_names = true,
                "Buffer" => uses.buffer = true,
                _ => {
                    let mut references = references.iter().map(|id| self.scoping.get_reference(*id));
                    self.out.sloppy |= references.any(|reference| reference.is_write());
                }
            }
        }
    }

    fn is_free(&self, identifier: &IdentifierReference<'_>) -> bool {
        let reference = identifier.reference_id.get();
        reference.is_none_or(|id| self.scoping.get_reference(id).symbol_id().is_none())
    }

    fn push(&mut self, specifier: &str, span: Span, how: How) -> usize {
        self.out.imports.push(Import {
            specifier: specifier.to_owned(),
            offset: span.start,
            how,
            as_text: false,
            names: BTreeSet::new(),
            members: BTreeSet::new(),
            whole: how == How::Dynamic,
        });
        self.out.imports.len() - 1
    }

    /// `with` follows the specifier, which ends at `from`.
    fn note_attributes(&mut self, import: usize, from: u32, clause: Option<&WithClause<'_>>) {
        let Some(clause) = clause else {
            return;
        };
        self.out.blanks.push(Span::new(from, clause.span.end));
        for entry in &clause.with_entries {
            if entry.key.as_arena_str() == "type" && entry.value.value == "text" {
                self.out.imports[import].as_text = true;
            }
        }
    }

    /// The specifier of `require("...")`.
    fn required<'e>(&self, expression: &'e Expression<'_>) -> Option<(&'e str, Span)> {
        match expression.get_inner_expression() {
            Expression::CallExpression(call) => self.required_by(call),
            _ => None,
        }
    }

    fn required_by<'e>(&self, call: &'e CallExpression<'_>) -> Option<(&'e str, Span)> {
        let Expression::Identifier(callee) = &call.callee else {
            return None;
        };
        if callee.name != "require" || call.arguments.len() != 1 || !(self.is_free(callee) || self.created) {
            return None;
        }
        match call.arguments.first()? {
            Argument::StringLiteral(literal) => Some((literal.value.as_str(), literal.span)),
            Argument::TemplateLiteral(template) if template.expressions.is_empty() => {
                let text = template.quasis.first()?.value.cooked.as_ref()?;
                Some((text.as_str(), template.span))
            }
            _ => None,
        }
    }

    fn maybe(&mut self, visit: impl FnOnce(&mut Self)) {
        self.maybe += 1;
        visit(self);
        self.maybe -= 1;
    }

    fn within(&mut self, may_await: bool, visit: impl FnOnce(&mut Self)) {
        self.functions += 1;
        self.awaits.push(may_await);
        visit(self);
        self.awaits.pop();
        self.functions -= 1;
    }

    fn insert(&mut self, offset: u32, text: &'static str) {
        self.out.contexts.push(Insertion {
            offset,
            text: text.into(),
        });
    }

    /// What a test comes to when it asks for `process.env.NODE_ENV` alone.
    fn constant(&self, test: &Expression<'_>) -> Option<bool> {
        match test.get_inner_expression() {
            Expression::UnaryExpression(not) if not.operator == UnaryOperator::LogicalNot => {
                self.constant(&not.argument).map(|value| !value)
            }
            Expression::LogicalExpression(both) => {
                let (left, right) = (self.constant(&both.left), self.constant(&both.right));
                match both.operator {
                    LogicalOperator::And if left == Some(false) || right == Some(false) => Some(false),
                    LogicalOperator::Or if left == Some(true) || right == Some(true) => Some(true),
                    _ => left.and(right),
                }
            }
            Expression::BinaryExpression(compare) => {
                let text = match (&compare.left, &compare.right) {
                    (Expression::StringLiteral(text), other) | (other, Expression::StringLiteral(text))
                        if is_node_env(other) =>
                    {
                        text.value.as_str()
                    }
                    _ => return None,
                };
                match compare.operator {
                    BinaryOperator::Equality | BinaryOperator::StrictEquality => Some(text == self.node_env),
                    BinaryOperator::Inequality | BinaryOperator::StrictInequality => Some(text != self.node_env),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn note_assigned_exports(&mut self, value: &Expression<'_>) {
        if let Some((specifier, _)) = self.required(value) {
            self.out.exports.of_others.push(specifier.to_owned());
            return;
        }
        match value.get_inner_expression() {
            Expression::ObjectExpression(object) => {
                for property in &object.properties {
                    match property {
                        ObjectPropertyKind::ObjectProperty(property) => {
                            if let Some(name) = property.key.static_name() {
                                self.out.exports.names.insert(name.into_owned());
                            }
                        }
                        ObjectPropertyKind::SpreadProperty(spread) => {
                            if let Some((specifier, _)) = self.required(&spread.argument) {
                                self.out.exports.of_others.push(specifier.to_owned());
                            }
                        }
                    }
                }
            }
            // module.exports = exports = ...
            Expression::AssignmentExpression(next) if is_exports_target(&next.left) => {
                self.note_assigned_exports(&next.right);
            }
            _ => {}
        }
    }

    /// `Object.defineProperty(exports, "name", ...)`, `__exportStar(require("..."), exports)` and their kin.
    fn note_exporting_call(&mut self, call: &CallExpression<'_>) {
        let name = match &call.callee {
            Expression::Identifier(callee) => callee.name.as_str(),
            Expression::StaticMemberExpression(member) => member.property.name.as_str(),
            _ => return,
        };
        let argument = |at: usize| call.arguments.get(at).and_then(Argument::as_expression);
        match name {
            "defineProperty" => {
                if argument(0).is_some_and(is_exports)
                    && let Some(Expression::StringLiteral(name)) = argument(1)
                {
                    self.out.exports.names.insert(name.value.to_string());
                }
            }
            "__exportStar" | "__export" | "__reExport" | "_export_star" | "assign" => {
                let (from, to) = if name == "assign" { (1, 0) } else { (0, 1) };
                let from = if name == "__reExport" { 1 } else { from };
                let is_ours = name == "__export" || name == "__reExport" || argument(to).is_some_and(is_exports);
                if is_ours && let Some((specifier, _)) = argument(from).and_then(|value| self.required(value)) {
                    self.out.exports.of_others.push(specifier.to_owned());
                }
            }
            _ => {}
        }
    }
}

/// `createRequire(...)`, or the same as a member.
fn is_create_require(call: &CallExpression<'_>) -> bool {
    match &call.callee {
        Expression::Identifier(name) => name.name == "createRequire",
        Expression::StaticMemberExpression(member) => member.property.name == "createRequire",
        _ => false,
    }
}

/// `process.env.NODE_ENV`
fn is_node_env(expression: &Expression<'_>) -> bool {
    let Expression::StaticMemberExpression(member) = expression else {
        return false;
    };
    let Expression::StaticMemberExpression(env) = &member.object else {
        return false;
    };
    member.property.name == "NODE_ENV"
        && env.property.name == "env"
        && matches!(&env.object, Expression::Identifier(process) if process.name == "process")
}

/// `exports` or `module.exports`. Bundles pass them on as parameters of the same name.
fn is_exports(expression: &Expression<'_>) -> bool {
    match expression.get_inner_expression() {
        Expression::Identifier(name) => name.name == "exports",
        Expression::StaticMemberExpression(member) => is_module_exports(member),
        _ => false,
    }
}

fn is_module_exports(member: &StaticMemberExpression<'_>) -> bool {
    member.property.name == "exports" && matches!(&member.object, Expression::Identifier(name) if name.name == "module")
}

fn is_exports_target(target: &AssignmentTarget<'_>) -> bool {
    match target {
        AssignmentTarget::AssignmentTargetIdentifier(name) => name.name == "exports",
        AssignmentTarget::StaticMemberExpression(member) => is_module_exports(member),
        _ => false,
    }
}

impl<'ast> Visit<'ast> for Walker<'_> {
    fn visit_import_declaration(&mut self, import: &ImportDeclaration<'ast>) {
        let at = self.push(import.source.value.as_str(), import.source.span, How::Import);
        self.note_attributes(at, import.source.span.end, import.with_clause.as_deref());
        for specifier in import.specifiers.iter().flatten() {
            match specifier {
                ImportDeclarationSpecifier::ImportSpecifier(one) => {
                    self.out.imports[at].names.insert(one.imported.name().to_string());
                }
                ImportDeclarationSpecifier::ImportDefaultSpecifier(_) => {
                    self.out.imports[at].names.insert("default".to_owned());
                }
                ImportDeclarationSpecifier::ImportNamespaceSpecifier(all) => {
                    self.namespaces.insert(all.local.name.to_string(), at);
                    self.out.imports[at].whole = true;
                }
            }
        }
    }

    fn visit_export_from_declaration(&mut self, export: &ExportFromDeclaration<'ast>) {
        let at = self.push(export.source.value.as_str(), export.source.span, How::Import);
        self.note_attributes(at, export.source.span.end, export.with_clause.as_deref());
        for specifier in &export.specifiers {
            self.out.imports[at].names.insert(specifier.local.name().to_string());
        }
    }

    fn visit_export_all_declaration(&mut self, export: &ExportAllDeclaration<'ast>) {
        let at = self.push(export.source.value.as_str(), export.source.span, How::Import);
        self.out.imports[at].whole = true;
        self.note_attributes(at, export.source.span.end, export.with_clause.as_deref());
    }

    fn visit_import_expression(&mut self, import: &ImportExpression<'ast>) {
        if let Expression::StringLiteral(literal) = &import.source {
            let at = self.push(literal.value.as_str(), literal.span, How::Dynamic);
            if let Some(options) = &import.options {
                let text = options.span().source_text(self.source);
                self.out.imports[at].as_text = text.contains("\"text\"") || text.contains("'text'");
            }
        }
        if let Some(options) = &import.options {
            let from = import.source.span().end;
            self.out.blanks.push(Span::new(from, options.span().end));
        }
        walk::walk_import_expression(self, import);
    }

    fn visit_call_expression(&mut self, call: &CallExpression<'ast>) {
        if let Some((specifier, span)) = self.required_by(call) {
            let optional = self.functions > 0 || self.maybe > 0;
            self.push(specifier, span, How::Require { optional });
        }
        self.note_exporting_call(call);
        walk::walk_call_expression(self, call);
    }

    fn visit_assignment_expression(&mut self, assignment: &AssignmentExpression<'ast>) {
        if is_exports_target(&assignment.left) {
            self.note_assigned_exports(&assignment.right);
        }
        if let AssignmentTarget::StaticMemberExpression(member) = &assignment.left
            && is_exports(&member.object)
        {
            self.out.exports.names.insert(member.property.name.to_string());
        }
        walk::walk_assignment_expression(self, assignment);
    }

    fn visit_static_member_expression(&mut self, member: &StaticMemberExpression<'ast>) {
        if let Expression::Identifier(object) = &member.object
            && let Some(at) = self.namespaces.get(object.name.as_str())
        {
            self.out.imports[*at].members.insert(member.property.name.to_string());
        }
        walk::walk_static_member_expression(self, member);
    }

    fn visit_unary_expression(&mut self, unary: &UnaryExpression<'ast>) {
        if unary.operator == UnaryOperator::Typeof
            && matches!(&unary.argument, Expression::Identifier(name) if name.name == "Buffer")
        {
            self.guarded = true;
        }
        walk::walk_unary_expression(self, unary);
    }

    fn visit_import_meta(&mut self, _: &ImportMeta) {
        self.out.uses.import_meta = true;
    }

    fn visit_decorator(&mut self, decorator: &Decorator<'ast>) {
        self.out.must_lower = true;
        walk::walk_decorator(self, decorator);
    }

    fn visit_variable_declaration(&mut self, declaration: &VariableDeclaration<'ast>) {
        self.out.must_lower |= declaration.kind.is_using();
        for declarator in &declaration.declarations {
            let is_require = declarator
                .id
                .get_identifier_name()
                .is_some_and(|name| name == "require");
            if is_require
                && matches!(&declarator.init, Some(Expression::CallExpression(call)) if is_create_require(call))
            {
                self.created = true;
            }
        }
        walk::walk_variable_declaration(self, declaration);
    }

    fn visit_if_statement(&mut self, branch: &IfStatement<'ast>) {
        let taken = self.constant(&branch.test);
        self.visit_expression(&branch.test);
        self.maybe(|walker| {
            if taken != Some(false) {
                walker.visit_statement(&branch.consequent);
            }
            if taken != Some(true)
                && let Some(alternate) = &branch.alternate
            {
                walker.visit_statement(alternate);
            }
        });
    }

    fn visit_conditional_expression(&mut self, branch: &ConditionalExpression<'ast>) {
        let taken = self.constant(&branch.test);
        self.visit_expression(&branch.test);
        self.maybe(|walker| {
            if taken != Some(false) {
                walker.visit_expression(&branch.consequent);
            }
            if taken != Some(true) {
                walker.visit_expression(&branch.alternate);
            }
        });
    }

    fn visit_logical_expression(&mut self, both: &LogicalExpression<'ast>) {
        let left = self.constant(&both.left);
        self.visit_expression(&both.left);
        let is_dead = match both.operator {
            LogicalOperator::And => left == Some(false),
            LogicalOperator::Or => left == Some(true),
            LogicalOperator::Coalesce => false,
        };
        if !is_dead {
            self.maybe(|walker| walker.visit_expression(&both.right));
        }
    }

    fn visit_function(&mut self, function: &Function<'ast>, flags: ScopeFlags) {
        self.within(function.r#async, |walker| walk::walk_function(walker, function, flags));
    }

    fn visit_arrow_function_expression(&mut self, function: &ArrowFunctionExpression<'ast>) {
        self.within(function.r#async, |walker| {
            walk::walk_arrow_function_expression(walker, function);
        });
    }

    fn visit_await_expression(&mut self, expression: &AwaitExpression<'ast>) {
        self.insert(expression.span.start, "$emuA($emuB(),");
        walk::walk_await_expression(self, expression);
        self.insert(expression.span.end, ")");
    }

    fn visit_labeled_statement(&mut self, statement: &LabeledStatement<'ast>) {
        self.labelled = Some(statement.body.span().start);
        walk::walk_labeled_statement(self, statement);
    }

    fn visit_for_of_statement(&mut self, each: &ForOfStatement<'ast>) {
        let keeps = each.r#await && self.labelled != Some(each.span.start);
        if keeps {
            self.insert(each.span.start, "{const $emuC=$emuB();");
            match &each.body {
                Statement::BlockStatement(block) => self.insert(block.span.start + 1, "$emuS($emuC);"),
                other => self.insert(other.span().start, "{$emuS($emuC);"),
            }
        }
        self.maybe(|walker| walk::walk_for_of_statement(walker, each));
        if keeps {
            if !matches!(&each.body, Statement::BlockStatement(_)) {
                self.insert(each.body.span().end, "}");
            }
            self.insert(each.span.end, "$emuS($emuC);}");
        }
    }

    fn visit_try_statement(&mut self, attempt: &TryStatement<'ast>) {
        let keeps = self.awaits.last() == Some(&true);
        if keeps {
            self.insert(attempt.span.start, "{const $emuC=$emuB();");
            let handler = attempt.handler.as_ref().map(|handler| &handler.body);
            for block in handler.into_iter().chain(&attempt.finalizer) {
                self.insert(block.span.start + 1, "$emuS($emuC);");
            }
        }
        self.maybe(|walker| walk::walk_try_statement(walker, attempt));
        if keeps {
            self.insert(attempt.span.end, "}");
        }
    }
}
